"""Packing holds one shard at a time, however many frames there are."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.ingest_plan import FRAME_BYTES

SHARD = 16
FEW, MANY = 2 * SHARD, 8 * SHARD
"""Frames of the two folders that are compared."""


def peak_bytes(folder: Path, target: Path, shard_frames: int) -> int:
    """Most memory that packing has allocated at any time."""
    tracemalloc.start()
    try:
        ingest_split(folder, target, IngestConfig(workers=1, chunk_frames=8, shard_frames=shard_frames))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_frames(
    make_split: Callable[..., Path], tmp_path: Path
) -> None:
    few, many = (make_split(str(frames), lengths=(frames,)) for frames in (FEW, MANY))
    peak_bytes(few, tmp_path / "imports.zarr", SHARD)
    small = peak_bytes(few, tmp_path / "few.zarr", SHARD)
    large = peak_bytes(many, tmp_path / "many.zarr", SHARD)
    assert (large - small) / (MANY - FEW) < FRAME_BYTES / 10, "names and digests grow, frames do not"
    at_once = peak_bytes(many, tmp_path / "at_once.zarr", MANY)
    assert at_once - large > 0.8 * (MANY - SHARD) * FRAME_BYTES, "what is measured includes the frames"
