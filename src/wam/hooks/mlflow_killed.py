"""Runs whose process was killed without a word (kill -9, no memory, no power) do not stay ``RUNNING``."""

import os
import socket
from typing import Final

from mlflow import MlflowClient

PROCESS: Final = "process"
"""Tag of a run: host and process that carry it out."""


def this_process() -> str:
    """Value of the tag for this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def end_killed_runs(client: MlflowClient, experiment_id: str) -> None:
    """Mark runs of an experiment as killed that a process of this machine carried out which is no more.

    A number that another process has since leaves a run as it is; so do runs of other machines.
    """
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        host, _, number = run.data.tags.get(PROCESS, "").rpartition(":")
        if host == socket.gethostname() and not _is_alive(int(number)):
            client.set_terminated(run.info.run_id, "KILLED")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
