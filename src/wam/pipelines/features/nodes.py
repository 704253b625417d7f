"""Recorded frames to features, and to what the controls see instead."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from wam.demonstrations.observed import observe_segments
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore
from wam.parallel.map import RayWorkers
from wam.pipelines.pages import ComputeConfig, ControlRow, FeaturesConfig
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device
from wam.world_model.featurize import features_by_row, featurize_episodes, featurize_segments
from wam.world_model.featurize_pieces import featurize_store
from wam.world_model.model import WorldModel


def featurize_play(
    world_model: Checkpoint,
    training_episodes: EpisodeStore,
    config: FeaturesConfig,
    compute: ComputeConfig,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Posterior features of every training frame, each episode filtered from its start."""
    model = WorldModel.from_checkpoint(world_model).to(resolve_device(compute.device)).eval()
    if isinstance(compute.processes, RayWorkers):
        pieces = featurize_store(
            world_model, training_episodes, seed=seed, batch=config.batch, workers=compute.processes
        )
    else:
        pieces = featurize_episodes(model, training_episodes.load(), seed=seed, batch=config.batch)
    feat = features_by_row(pieces, training_episodes.num_frames, model.feat_dim)
    return {"feat": feat, "frame_id": training_episodes.read("frame_id")}


def featurize_experts(
    world_model: Checkpoint,
    training_episodes: EpisodeStore,
    expert_segments: pd.DataFrame,
    config: FeaturesConfig,
    compute: ComputeConfig,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Features of the demonstrations of all tasks, from fresh starts and with long context."""
    model = WorldModel.from_checkpoint(world_model).to(resolve_device(compute.device)).eval()
    return featurize_segments(
        model,
        training_episodes.load(),
        demonstrations(expert_segments),
        start_repeats=config.start_repeats,
        fresh_samples=config.fresh_samples,
        long_context=config.long_context,
        context_steps=config.context_steps,
        seed=seed,
    )


def observe_experts(
    training_episodes: EpisodeStore,
    expert_segments: pd.DataFrame,
    proprio_statistics: Mapping[str, Any],
    control: ControlRow,
) -> dict[str, NDArray[Any]]:
    """What a control sees in the demonstrations of all tasks, in the form of features."""
    return observe_segments(
        control.sees,
        training_episodes.load(images=False),
        demonstrations(expert_segments),
        ProprioStatistics.from_dict(proprio_statistics),
    )


def demonstrations(expert_segments: pd.DataFrame) -> pd.DataFrame:
    """The segments that are learned from; ``segment`` in features and labels counts these rows."""
    return expert_segments[expert_segments["role"] == "demo"].reset_index(drop=True)
