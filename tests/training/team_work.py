"""Tasks of a team that spawned ranks can import."""

import os
import signal
import time
from pathlib import Path

import torch

from wam.training import metrics
from wam.training.team import Team


def sum_ranks(folder: Path, team: Team, device: torch.device) -> None:
    mean = team.mean(torch.tensor([float(team.rank)]))
    rows = team.gather_rows(torch.full((1, 2), float(team.rank)), slice(team.rank, team.rank + 1), team.size)
    metrics.publish({"mean": mean.item(), "rows": float((rows[:, 0] * torch.arange(1, 3)).sum())}, 7)
    (folder / f"{team.rank} {device.type} {torch.get_num_threads()}").touch()


def note(folder: Path) -> None:
    """Write down this process and its parent, the agent."""
    (folder / f"{os.getpid()}").touch()
    (folder / f"{os.getppid()}").touch()


def die_in_the_middle(folder: Path, team: Team, _device: torch.device) -> None:
    note(folder)
    team.sum(torch.ones(1))
    if team.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    team.sum(torch.ones(1))


def fail_in_the_middle(folder: Path, team: Team, _device: torch.device) -> None:
    note(folder)
    if team.rank == 1:
        raise ZeroDivisionError("one is bad")
    time.sleep(600)


def last(folder: Path, team: Team, _device: torch.device) -> None:
    note(folder)
    team.sum(torch.ones(1))
    (folder / f"ready {team.rank}").touch()
    time.sleep(600)
