"""Clone a diffusion policy from the demonstrations of one task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from wam.contracts import PROPRIO
from wam.datasets import Arrays
from wam.pipelines.features.nodes import demonstrations
from wam.pipelines.history import curves
from wam.pipelines.pages import ComputeConfig, TaskRow
from wam.policy.cloning import Chunks, chunks_from_episodes
from wam.policy.cloning import clone_policy as clone
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.seeding import numpy_generator
from wam.sight.conditions import condition_parts, measured_sight
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device
from wam.world_model.model import WorldModel

Rows = Mapping[str, NDArray[Any]]
"""Rows of ``expert_features``: feat, action, proprio, segment, step."""


def clone_policy(
    world_model: Checkpoint,
    expert_features: Arrays,
    expert_segments: pd.DataFrame,
    task: TaskRow,
    policy: DiffusionConfig,
    config: CloningConfig,
    compute: ComputeConfig,
    seed: int,
    work_dir: Path,
) -> tuple[Checkpoint, Checkpoint, pd.DataFrame]:
    """Train on windows of expert actions, conditioned on features and what else the policy is to see.

    Returns the policy with averaged weights, from which PPO starts, that with the last ones, and curves.
    """
    model = WorldModel.from_checkpoint(world_model)
    sight, parts = measured_sight(policy.sees, model), condition_parts(policy.sees, model)
    rows = _demonstrated(expert_features, expert_segments, task, config, seed)
    shown = sight(torch.from_numpy(rows["feat"]), torch.from_numpy(rows[PROPRIO]))
    chunks = _chunks(np.asarray(shown.numpy(), np.float32), rows, policy, config)
    return _clone(chunks, parts, task, policy, config, compute, seed, work_dir)


def clone_control(
    expert_features: Arrays,
    expert_segments: pd.DataFrame,
    task: TaskRow,
    policy: DiffusionConfig,
    config: CloningConfig,
    compute: ComputeConfig,
    seed: int,
    work_dir: Path,
) -> tuple[Checkpoint, Checkpoint, pd.DataFrame]:
    """The same conditioned on what a control sees, which stands in the place of features."""
    policy = replace(policy, sees="features")
    rows = _demonstrated(expert_features, expert_segments, task, config, seed)
    chunks = _chunks(rows["feat"], rows, policy, config)
    return _clone(chunks, (), task, policy, config, compute, seed, work_dir)


def _demonstrated(
    expert_features: Arrays, expert_segments: pd.DataFrame, task: TaskRow, config: CloningConfig, seed: int
) -> Rows:
    segments = segments_of(expert_segments, task.name)
    chosen = some_of(segments, config.demonstrations, task=task.name, seed=seed)
    return expert_features.rows_where("segment", chosen)


def _chunks(shown: NDArray[np.float32], rows: Rows, policy: DiffusionConfig, config: CloningConfig) -> Chunks:
    return chunks_from_episodes(
        shown,
        rows["action"],
        rows["segment"],
        rows["step"],
        horizon_steps=policy.horizon_steps,
        pad_end=config.pad_segment_end,
    )


def _clone(
    chunks: Chunks,
    parts: Sequence[int],
    task: TaskRow,
    policy: DiffusionConfig,
    config: CloningConfig,
    compute: ComputeConfig,
    seed: int,
    work_dir: Path,
) -> tuple[Checkpoint, Checkpoint, pd.DataFrame]:
    if task.cloning_steps is not None:
        config = replace(config, steps=task.cloning_steps, epochs=None)
    result = clone(
        chunks,
        policy,
        config,
        seed=seed,
        parts=parts,
        work_dir=work_dir,
        device=resolve_device(compute.device),
        stop_after=compute.stop_after,
        description=f"clone {task.name}",
    )
    history = curves(result.training.history, stage="cloning", task=task.name)
    return result.policy.to_checkpoint(), result.raw_policy.to_checkpoint(), history


def segments_of(expert_segments: pd.DataFrame, task: str) -> list[int]:
    """Numbers of a task's demonstrations, as features and labels count them."""
    rows = demonstrations(expert_segments)
    return rows.index[rows["task"] == task].tolist()


def some_of(segments: Sequence[int], count: int | None, *, task: str, seed: int) -> list[int]:
    """So many of a task's demonstrations, in their order; all where none are counted.

    A larger number of the same seed holds all of a smaller one.

    Raises:
        ValueError: If there are not as many.
    """
    if count is None:
        return list(segments)
    if count > len(segments):
        raise ValueError(
            f"behavior_cloning.demonstrations is {count}, but {task} has {len(segments)}; lower it, or raise "
            "selection.demos and play.min_training_segments"
        )
    drawn = numpy_generator(seed, "demonstrations", task).permutation(len(segments))[:count]
    return [segments[place] for place in sorted(drawn.tolist())]
