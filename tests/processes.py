"""Whether processes still run, and waiting until they do not."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 240.0


def wait_until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)
    assert condition()


def alive(folder: Path) -> list[int]:
    """Processes that wrote themselves down and still run."""
    pids = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
    assert pids
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_all_ended(folder: Path, limit_s: float = LIMIT_S) -> None:
    """Wait for the processes of :func:`alive`; those that do not end are killed, and that is an error."""
    try:
        wait_until(lambda: not alive(folder), limit_s)
    finally:
        for pid in alive(folder):
            os.kill(pid, signal.SIGKILL)
