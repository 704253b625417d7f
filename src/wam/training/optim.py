"""The optimiser and its step size as a function of the step."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from wam.training.config import OptimizerConfig


def learning_rate_at(page: OptimizerConfig, step: int, steps: int) -> float:
    """Step size of optimisation step ``step``, counted from 0, of ``steps`` in all."""
    if step < page.warmup_steps:
        return page.learning_rate * (step + 1) / page.warmup_steps
    if page.schedule == "constant":
        return page.learning_rate
    share = (step - page.warmup_steps) / max(1, steps - 1 - page.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return page.final_learning_rate + (page.learning_rate - page.final_learning_rate) * cosine


def cycle_rate_at(epoch: int, *, peak: float, floor: float, warmup: int, cycle: int) -> float:
    """Step size of an epoch in the first cycle of a cosine with restarts, as the public code runs it.

    ::

        epoch < warmup:  floor + (peak - floor) epoch / warmup
        else:            floor + (peak - floor) (1 + cos(pi (epoch - warmup) / (cycle - warmup))) / 2

    Args:
        epoch: Counted from 0, below ``cycle``.
        peak: Largest step size.
        floor: Step size of epoch 0, and at the end of the cycle.
        warmup: Epochs of linear growth.
        cycle: Epochs of the first cycle; a run of half a cycle never comes near ``floor`` again.

    Raises:
        ValueError: If the epoch lies in a later cycle.
    """
    if not 0 <= epoch < cycle:
        raise ValueError(f"epoch {epoch} is not in the first cycle of {cycle} epochs; train fewer epochs")
    if epoch < warmup:
        return floor + (peak - floor) * epoch / warmup
    share = (epoch - warmup) / (cycle - warmup)
    return floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * share))


def make_optimizer(page: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return torch.optim.AdamW(
        trained,
        lr=page.learning_rate,
        betas=page.betas,
        eps=page.eps,
        weight_decay=page.weight_decay,
        fused=True,
    )
