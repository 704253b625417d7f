"""What packing a folder will take, said before it starts: frames, disk, time. A disk too small is refused."""

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from wam.episodes.frame_arrays import FRAME_ARRAYS

logger = logging.getLogger(__name__)

FRAME_BYTES: Final = sum(
    math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in FRAME_ARRAYS.values()
)
"""Bytes of a packed frame before compression, an upper bound: 24,576 of images and 440 of vectors."""
RESERVE: Final = 1.05
"""Room for tables, checksums and markers."""
MEASURED_FRAMES: Final = 24
"""Frames that are read to tell the time, spread over the folder."""
WORTH_MEASURING: Final = 2_000
"""Frames from which the time is told."""


class DiskTooSmallError(OSError):
    """The packed frames would not fit."""


@dataclass(frozen=True)
class IngestPlan:
    """What packing will take.

    Attributes:
        frames: To be packed.
        bytes_needed: Most disk the store can take.
        bytes_free: Where it will lie.
        workers: Processes.
        seconds: Estimate, or None for few frames; None of what an earlier run finished is taken off.
    """

    frames: int
    bytes_needed: int
    bytes_free: int
    workers: int
    seconds: float | None

    def __str__(self) -> str:
        """One line for people."""
        takes = (
            ""
            if self.seconds is None
            else f", about {duration(self.seconds)} (from {MEASURED_FRAMES} frames)"
        )
        return (
            f"{self.frames:,} frames, at most {self.bytes_needed / 1e9:.1f} GB of disk "
            f"({self.bytes_free / 1e9:.1f} GB are free), {self.workers} processes{takes}"
        )


def plan_ingest(
    frame_ids: np.ndarray, read: Callable[[int], object], place: Path, *, workers: int, done_bytes: int = 0
) -> IngestPlan:
    """Say what packing will take, before it starts.

    Args:
        frame_ids: Ids of the frames to pack.
        read: Reads one frame as packing does; timed.
        place: Path of the store, which need not exist.
        workers: Processes.
        done_bytes: Disk that an interrupted run has already taken there.

    Raises:
        DiskTooSmallError: If the frames might not fit, naming what is needed and what is free.
    """
    needed = round(len(frame_ids) * FRAME_BYTES * RESERVE)
    seconds = None
    if len(frame_ids) >= WORTH_MEASURING:
        seconds = len(frame_ids) * _seconds_per_frame(frame_ids, read) / workers
    plan = IngestPlan(len(frame_ids), needed, _free_bytes(place), workers, seconds)
    if plan.bytes_needed - done_bytes > plan.bytes_free:
        raise DiskTooSmallError(
            f"{place}: {plan}; free {(needed - done_bytes - plan.bytes_free) / 1e9:.1f} GB more, or put the "
            "data elsewhere with --params data_root=<folder>"
        )
    logger.info("pack into %s: %s", place.name, plan)
    return plan


def _seconds_per_frame(frame_ids: np.ndarray, read: Callable[[int], object]) -> float:
    chosen = frame_ids[np.linspace(0, len(frame_ids) - 1, MEASURED_FRAMES).astype(np.int64)]
    begin = time.perf_counter()
    for frame_id in chosen.tolist():
        read(frame_id)
    return (time.perf_counter() - begin) / len(chosen)


def _free_bytes(place: Path) -> int:
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
