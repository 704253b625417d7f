"""Clone a diffusion policy from the demonstrations of one task."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from wam.datasets import Arrays
from wam.pipelines.features.nodes import demonstrations
from wam.pipelines.history import curves
from wam.pipelines.pages import ComputeConfig, TaskRow
from wam.policy.cloning import chunks_from_episodes
from wam.policy.cloning import clone_policy as clone
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device


def clone_policy(
    expert_features: Arrays,
    expert_segments: pd.DataFrame,
    task: TaskRow,
    policy: DiffusionConfig,
    config: CloningConfig,
    compute: ComputeConfig,
    seed: int,
    work_dir: Path,
) -> tuple[Checkpoint, Checkpoint, pd.DataFrame]:
    """Train on windows of expert actions, conditioned on features or on what a control sees.

    Returns the policy with averaged weights, from which PPO starts, that with the last ones, and curves.
    """
    if task.cloning_steps is not None:
        config = replace(config, steps=task.cloning_steps, epochs=None)
    rows = expert_features.rows_where("segment", segments_of(expert_segments, task.name))
    chunks = chunks_from_episodes(
        rows["feat"],
        rows["action"],
        rows["segment"],
        rows["step"],
        horizon_steps=policy.horizon_steps,
        pad_end=config.pad_segment_end,
    )
    result = clone(
        chunks,
        policy,
        config,
        seed=seed,
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
