"""Raw CALVIN folder to packed episodes, segments and starts."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from wam.episodes.calvin_format import CalvinSplit
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore
from wam.pipelines.pages import ComputeConfig
from wam.tasks.selection import SelectionConfig, select_experts, starts_table


def pack_training(
    raw_episodes: Path, config: IngestConfig, compute: ComputeConfig, work_dir: Path
) -> tuple[Path, dict[str, Any]]:
    """Pack the training split; returns the finished store and what was left out of it."""
    return _pack(raw_episodes / "training", config, compute, work_dir)


def pack_validation(
    raw_episodes: Path, config: IngestConfig, compute: ComputeConfig, work_dir: Path
) -> tuple[Path, dict[str, Any]]:
    """Pack the validation split; returns the finished store and what was left out of it."""
    return _pack(raw_episodes / "validation", config, compute, work_dir)


def _pack(
    split: Path, config: IngestConfig, compute: ComputeConfig, work_dir: Path
) -> tuple[Path, dict[str, Any]]:
    target = work_dir / f"{split.name}.zarr"
    report = ingest_split(split, target, replace(config, workers=compute.processes))
    return target, asdict(report)


def compute_proprio_statistics(
    training_episodes: EpisodeStore, validation_episodes: EpisodeStore
) -> dict[str, list[float]]:
    """Range of each proprio value over both splits, as published."""
    return ProprioStatistics.from_stores([training_episodes, validation_episodes]).to_dict()


def select_expert_segments(
    raw_episodes: Path,
    training_episodes: EpisodeStore,
    validation_episodes: EpisodeStore,
    config: SelectionConfig,
) -> pd.DataFrame:
    """Demonstrations from training, test and selection segments from disjoint validation episodes."""
    return select_experts(
        training_episodes.load(images=False),
        validation_episodes.load(images=False),
        CalvinSplit(raw_episodes / "training").annotations,
        CalvinSplit(raw_episodes / "validation").annotations,
        config,
    )


def list_starts(expert_segments: pd.DataFrame, validation_episodes: EpisodeStore) -> pd.DataFrame:
    """The simulator's state at the first frame of every held-out segment."""
    return starts_table(expert_segments, validation_episodes.load(images=False))
