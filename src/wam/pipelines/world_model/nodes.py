"""Train a world model and measure how well it predicts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore
from wam.evaluation.open_loop import OpenLoopQuality, open_loop_quality
from wam.evaluation.video import clip_bytes, strip_bytes
from wam.pipelines.history import Metrics, curves
from wam.pipelines.pages import ComputeConfig, OpenLoopConfig, WorldModelRow
from wam.report.quality import BROUGHT_BACK
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device, resolve_precision
from wam.world_model.config import WorldModelConfig
from wam.world_model.model import WorldModel
from wam.world_model.remote import RemotePage, bring_back
from wam.world_model.train_parts import WorldModelTask, train_world_model_on
from wam.world_model.training_config import WorldModelTrainingConfig

STRIP_FRAMES = 8
"""Frames shown of a predicted sequence."""


def train_world_model(
    training_episodes: EpisodeStore,
    validation_episodes: EpisodeStore,
    proprio_statistics: Mapping[str, Any],
    config: WorldModelConfig,
    row: WorldModelRow,
    training: WorldModelTrainingConfig,
    compute: ComputeConfig,
    seed: int,
    work_dir: Path,
) -> tuple[Checkpoint, pd.DataFrame]:
    """Train one row of the table of world models, or take what another machine made of it."""
    config, training = row.applied(config, training)
    if compute.remote is not None:
        page = RemotePage.of(
            config,
            training,
            proprio_statistics,
            seed=seed,
            stop_after=compute.stop_after,
            episodes=training_episodes.digest,
        )
        checkpoint, history = bring_back(Path(compute.remote), page)
        return checkpoint, curves(history)
    task = WorldModelTask(
        model=config,
        training=training,
        statistics=ProprioStatistics.from_dict(proprio_statistics),
        training_episodes=training_episodes.path,
        validation_episodes=validation_episodes.path,
        seed=seed,
        parts=compute.accumulate,
        stop_after=compute.stop_after,
        work_dir=work_dir,
        capture=compute.capture,
    )
    model, result = train_world_model_on(task, compute.devices, compute.device)
    precision = resolve_precision(training.precision, model.device)
    return model.to_checkpoint(precision=precision), curves(result.history)


def measure_open_loop(
    world_model: Checkpoint,
    validation_episodes: EpisodeStore,
    config: OpenLoopConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, Metrics, dict[str, bytes]]:
    """PSNR and SSIM of imagination by step on held-out sequences, and pictures of a few."""
    model = WorldModel.from_checkpoint(world_model).to(resolve_device(compute.device)).eval()
    quality = open_loop_quality(
        model,
        validation_episodes.load(),
        sequences=config.sequences,
        steps=config.steps,
        seed=seed,
        context_frames=config.context_frames,
        shown=config.shown,
        perceptual=config.perceptual,
    )
    summary: Metrics = {"stage": "open_loop", "task": "all", **quality.summary}
    if "remote" in world_model.extra:
        summary[BROUGHT_BACK] = 1.0
    return quality.by_step, summary, pictures(quality)


def pictures(quality: OpenLoopQuality) -> dict[str, bytes]:
    """A strip and a clip of every shown sequence, recorded above imagined."""
    files = {}
    for index, (real, imagined) in enumerate(zip(quality.real, quality.imagined, strict=True)):
        columns = range(0, len(real), max(1, len(real) // STRIP_FRAMES))
        files[f"strip-{index}.png"] = strip_bytes(
            [real, imagined], labels=["real", "imagined"], columns=columns
        )
        files[f"clip-{index}.webp"] = clip_bytes(
            quality.beside(index), success=None, label="real above imagined"
        )
    return files
