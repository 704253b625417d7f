"""What refining a cloned policy has in common in imagination and in the simulator."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from wam.pipelines.history import Metrics, curves
from wam.pipelines.pages import ComputeConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.rl.finetune import FinetuneResult
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device
from wam.world_model.model import WorldModel


def frozen_and_cloned(
    world_model: Checkpoint, cloned_policy: Checkpoint, compute: ComputeConfig
) -> tuple[WorldModel, DiffusionPolicy]:
    """The world model, which is never trained here, and the policy to refine, where they are computed."""
    device = resolve_device(compute.device)
    model = WorldModel.from_checkpoint(world_model).to(device).eval().requires_grad_(requires_grad=False)
    return model, DiffusionPolicy.from_checkpoint(cloned_policy).to(device)


def curves_and_figures(
    result: FinetuneResult, measured: Sequence[str], *, stage: str, task: str, **figures: Any
) -> tuple[pd.DataFrame, Metrics]:
    """Curves of a refinement, and its final figures.

    Args:
        result: Of fine-tuning.
        measured: Quantities of the history whose first and last value are final figures.
        stage: Label of the stage.
        task: Label of the task.
        figures: Final figures besides.
    """
    table = curves(result.history, step="iteration", stage=stage, task=task)
    return table, {"stage": stage, "task": task, **figures, **_first_and_last(result.history, measured)}


def _first_and_last(history: Sequence[dict[str, float]], names: Sequence[str]) -> dict[str, float]:
    """Quantities where each was measured first and last; nothing of one that never was."""
    figures: dict[str, float] = {}
    for name in names:
        values = [row[name] for row in history if name in row]
        if values:
            figures |= {f"{name}_first": values[0], f"{name}_last": values[-1]}
    return figures
