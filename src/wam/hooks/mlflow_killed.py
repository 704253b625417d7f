"""Runs whose process was killed without a word (kill -9, no memory, no power) do not stay ``RUNNING``."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from mlflow import MlflowClient

PROCESS: Final = "process"
"""Tag of a run: host and process that carry it out."""


def this_process() -> str:
    """Value of the tag for this process: a number means something among those that share it."""
    return f"{_place()}:{os.getpid()}"


def _place() -> str:
    """Host, and on Linux the boot and the namespace that number processes: containers share host names."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
        parts += [os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def end_killed_runs(client: MlflowClient, experiment_id: str) -> None:
    """Mark runs of an experiment as killed whose process on this machine has ended.

    Runs of other machines stay as they are, and so does one whose number another process has by now.
    """
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        place, _, number = run.data.tags.get(PROCESS, "").rpartition(":")
        if place == _place() and number.isdecimal() and not _is_alive(int(number)):
            client.set_terminated(run.info.run_id, "KILLED")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # somebody else's lives as well
    return True
