"""Fixtures that several rooms use: a small folder in CALVIN's format, and a store packed from it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from calvin_folder import write_calvin_split

from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.store import EpisodeStore


def pytest_configure(config: pytest.Config) -> None:
    """One thread for each of several workers, and for what they start: together they have the cores."""
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)


@pytest.fixture
def make_split(tmp_path: Path) -> Callable[..., Path]:
    """``make_split(**options)`` writes a split of :func:`write_calvin_split` and returns its folder."""

    def make(name: str = "training", **options: object) -> Path:
        return write_calvin_split(tmp_path / "raw" / name, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_store(tmp_path: Path, make_split: Callable[..., Path]) -> Callable[..., EpisodeStore]:
    """``make_store(**options)`` writes a split and packs it; returns the opened store."""

    def make(name: str = "training", **options: object) -> EpisodeStore:
        target = tmp_path / "packed" / f"{name}.zarr"
        ingest_split(
            make_split(name, **options), target, IngestConfig(workers=1, chunk_frames=4, shard_frames=8)
        )
        return EpisodeStore(target)

    return make
