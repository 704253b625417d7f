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
