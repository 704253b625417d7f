"""A folder for generated files that lasts as long as the process it belongs to, however that ends.

A process removes its folder at exit. One that is killed, or ends with its parent, cannot; but the system lets
go of its locks. So each folder holds a locked file, and making a folder removes all those whose lock is free.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "wam-sim-"
LOCK: Final = "in_use"


def make_process_folder() -> Path:
    """A new folder of this process below the system's folder for temporary files."""
    _remove_orphans()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _lock(folder)
    return folder


def _lock(folder: Path) -> None:
    """Hold a lock until this process is gone; it has its name only once it is held."""
    unnamed = folder / f"{LOCK}.new"
    descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)  # the system closes it at the end
    with contextlib.suppress(OSError):  # file systems without locks: the folder is never taken for an orphan
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(folder / LOCK)


def _remove_orphans() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as file:  # in use, another user's, or just removed
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent)
