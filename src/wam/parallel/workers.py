"""Who does the pieces: so many processes of this machine, or so many workers of a Ray cluster."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

P_contra = TypeVar("P_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

PIECES_AHEAD: Final = 3
"""Pieces per worker that may be under way or finished and not yet taken: enough to keep workers busy behind
one slow piece, few enough that results do not pile up in memory."""
TRIES: Final = 3
"""Times that a piece is begun before a worker that dies over it ends the map: a lost machine costs a try, a
piece that kills its worker each time must not go on for ever."""
STOP_CHECK_S: Final = 0.5
"""Seconds after which a wait for a piece asks whether the run is ending."""
ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "ZARR_THREADING__MAX_WORKERS": "1",
}
"""One thread per worker for torch, BLAS, OpenCV and Zarr: all read it from the environment when imported."""


@dataclass(frozen=True)
class RayWorkers:
    """Workers of the Ray cluster that ``RAY_ADDRESS`` names, or of the one that runs on this machine.

    Attributes:
        count: Cores of the cluster to use, one a worker; 0 takes all of them.
    """

    count: int = 0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must be at least 0 (0: every core of the cluster), got {self.count}")


Workers = int | RayWorkers
"""Processes of this machine (1 or fewer: this one), or workers of a Ray cluster. No result depends on it."""


class LostWorkerError(RuntimeError):
    """A piece's worker died at every try."""


class Crew(Protocol[P_contra, R_co]):
    """Does the pieces of one map elsewhere; gives results in the order in which pieces came.

    Attributes:
        ahead: Pieces that may be open (handed in and not taken) at a time.
    """

    ahead: int

    def submit(self, piece: P_contra) -> None:
        """Hand in a piece; never waits for it."""
        ...

    def take(self) -> R_co:
        """Wait for the oldest open piece. A lost worker's pieces are begun again, ``TRIES`` times in all.

        Raises:
            LostWorkerError: If the piece's worker died at every try.
            StoppedError: If the run is ending.
            Exception: The piece's own.
        """
        ...

    def leave(self) -> None:
        """End the map: what is still open is given up."""
        ...


def available_workers() -> int:
    """Cores this process may use: its CPU affinity, lowered by a control group's quota, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)
