"""One process for each device, inside one run: torch elastic, started from within a Kedro node.

::

    this process --spawns--> agent (torch elastic) --spawns--> rank 0, rank 1, ...
         ^------------------- figures, the end -------------------'

``torchrun kedro run`` would run the whole pipeline once for every device; so the node starts its ranks.
The agent has a process of its own because it wants the signals of a main thread, and nodes run in
threads. Every process ends when the one above it is gone, however that died: no rank outlives the run.
"""

import multiprocessing
import os
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, TypeVar

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from wam.parallel.lifeline import end_with_parent
from wam.parallel.progress import bar_owner, name_bars
from wam.parallel.stop import check_stop
from wam.training import metrics
from wam.training.device import Device, resolve_device
from wam.training.team import Team

T = TypeVar("T")
Work = Callable[[T, Team, torch.device], None]

LISTEN_S: Final = 0.5
"""Seconds after which the wait for figures asks whether the run is ending."""
END_S: Final = 40.0
"""Seconds that the agent has to end its ranks; torch gives them 30."""
COLLECTIVE_TIMEOUT: Final = timedelta(minutes=30)
"""Longest wait of a rank for the others: the first validates alone meanwhile."""


class LostRankError(RuntimeError):
    """A process of a team failed or died, and the others were ended."""


@dataclass(frozen=True)
class _Plan:
    """What the agent and the ranks must know."""

    work: Callable[[Any, Team, torch.device], None]
    task: Any
    devices: int
    device: Device
    threads: int
    bar_owner: str
    sender: Connection


def check_devices(devices: int, device: Device) -> None:
    """Check that there are as many devices; processes on a CPU share it, so any number will do.

    Raises:
        ValueError: If there are fewer GPUs than devices.
    """
    if resolve_device(device).type == "cuda" and devices > torch.cuda.device_count():
        raise ValueError(
            f"devices is {devices}, but torch sees {torch.cuda.device_count()} GPUs; lower devices, or set "
            "device: cpu"
        )


def run_team(work: Work[T], task: T, *, devices: int, device: Device) -> None:
    """Do a task in one process for each device, together; what they publish is published here.

    Args:
        work: Importable function of the task, the process's place in the team and its device.
        task: Picklable.
        devices: Processes, at least 1.
        device: ``cuda`` gives each a GPU, ``cpu`` a share of this thread's torch threads.

    Raises:
        LostRankError: If one of them failed or died; all others are ended then.
        StoppedError: If the run is ending; they are ended then.
        ValueError: If there are fewer GPUs than devices.
    """
    check_devices(devices, device)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    threads = max(1, torch.get_num_threads() // devices)
    plan = _Plan(work, task, devices, device, threads, bar_owner(), sender)
    agent = context.Process(target=_run_agent, args=(plan,), name="training agent")
    agent.start()
    sender.close()
    try:
        _listen(receiver)
        agent.join(END_S)
    finally:
        _end(agent)
        receiver.close()


def _listen(receiver: Connection) -> None:
    """Publish what the first rank publishes, until the agent says how it ended."""
    while True:
        while not receiver.poll(LISTEN_S):
            check_stop()
        try:
            kind, *content = receiver.recv()
        except EOFError:
            raise LostRankError(
                "the process that watches over the devices died (killed for memory?); run again: it goes on "
                "from the last checkpoint"
            ) from None
        if kind == "metrics":
            metrics.publish(*content)
        elif kind == "failed":
            raise LostRankError(content[0])
        else:
            return


def _end(agent: BaseProcess) -> None:
    """End the agent if it is still there, and with it its ranks."""
    for end in (agent.terminate, agent.kill):  # ranks see a killed agent go
        if agent.is_alive():
            end()
            agent.join(END_S)


def _run_agent(plan: _Plan) -> None:
    """Start the ranks and wait for them. Runs in the agent's process."""
    end_with_parent()
    with tempfile.TemporaryDirectory(prefix="wam_ranks_") as errors:
        try:
            elastic_launch(_launch_config(plan.devices, errors), _run_rank)(plan)
        except ChildFailedError as error:
            plan.sender.send(("failed", _failure(error, plan.devices)))
        else:
            plan.sender.send(("done",))


def _launch_config(devices: int, errors: str) -> LaunchConfig:
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        max_restarts=0,  # the checkpoint is where a run begins again, not a half-known state of ranks
        monitor_interval=LISTEN_S,
        start_method="spawn",
        signals_to_handle="SIGTERM",
        logs_specs=DefaultLogsSpecs(log_dir=errors),  # where a rank leaves its traceback for the agent
    )


def _failure(error: ChildFailedError, devices: int) -> str:
    killed = [item for item in error.failures.items() if item[1].exitcode < 0]
    rank, failure = killed[0] if killed else error.get_first_failure()  # others fail because it is gone
    end = f"was ended by {failure.signal_name()}" if failure.exitcode < 0 else "failed"
    return (
        f"rank {rank} of {devices} {end}: {failure.message}\n"
        "All others were ended. Run again: it goes on from the last checkpoint, with any number of devices"
    )


def _run_rank(plan: _Plan) -> None:
    """Take a place in the team and do the task. Runs in each rank's process."""
    end_with_parent()
    team = Team(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    device = resolve_device(plan.device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    torch.set_num_threads(plan.threads)
    name_bars(plan.bar_owner)
    if team.leads:
        metrics.subscribe(lambda values, step: plan.sender.send(("metrics", values, step)))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=COLLECTIVE_TIMEOUT)
    try:
        plan.work(plan.task, team, device)
    finally:
        distributed.destroy_process_group()
