"""Configuration page of the optimiser, how long a training is, and what it does beside its steps."""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from wam.contracts import config


@config
class OptimizerConfig:
    """AdamW with warm-up, schedule and gradient clipping.

    Attributes:
        learning_rate: Peak step size.
        final_learning_rate: Step size at the last step of the cosine schedule; unused by ``constant``.
        schedule: ``constant`` or ``cosine`` (half a cosine from the end of the warm-up to the last step).
        warmup_steps: Steps over which the step size grows linearly from 0.
        weight_decay: Decoupled decay per step, times the step size, on all parameters.
        betas: Decay of the running means of gradient and squared gradient.
        eps: Added to the root of the mean squared gradient.
        grad_clip_norm: Largest norm of the whole gradient; absent means no clipping.
        clip_loss_scale: Loss scale that the gradient still carries when it is clipped, so that it is cut at
            ``grad_clip_norm`` divided by it. 1 cuts the gradient itself; the public code clips before it
            unscales (docs/published.md, fault B1), with a scale that moves and is not recorded (PyTorch
            starts at 65536).
    """

    learning_rate: float = Field(gt=0)
    final_learning_rate: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    grad_clip_norm: float | None = Field(default=None, gt=0)
    clip_loss_scale: float = Field(default=1.0, ge=1)

    @property
    def clip_limit(self) -> float:
        """Norm at which the gradient is cut; infinite without clipping."""
        return math.inf if self.grad_clip_norm is None else self.grad_clip_norm / self.clip_loss_scale

    @model_validator(mode="after")
    def _final_below_peak(self) -> "OptimizerConfig":
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate {self.final_learning_rate} lies above learning_rate "
                f"{self.learning_rate}"
            )
        return self


def check_length(steps: int | None, epochs: int | None) -> None:
    """Check that a page gives the length of a training once.

    Raises:
        ValueError: If both or neither is given.
    """
    if (steps is None) == (epochs is None):
        raise ValueError(f"give either steps or epochs, got steps={steps}, epochs={epochs}")


def steps_in_all(steps: int | None, epochs: int | None, steps_per_epoch: int) -> int:
    """Gradient steps of a training whose page gives its length once, see :func:`check_length`."""
    if steps is not None:
        return steps
    assert epochs is not None, "the page was checked"
    return epochs * steps_per_epoch


@dataclass(frozen=True)
class Intervals:
    """Optimisation steps between what a training does beside its steps.

    Attributes:
        log: Steps averaged into one point of the curves; only then does the device wait.
        checkpoint: Between checkpoints, rounded up to a multiple of ``log``.
        validation: Between validations, rounded up as well.
    """

    log: int = 50
    checkpoint: int = 1000
    validation: int = 1000

    def ends(self, name: Literal["checkpoint", "validation"], step: int) -> bool:
        """Whether one of the longer intervals ends with a point of the curves, after ``step`` steps."""
        wanted = self.checkpoint if name == "checkpoint" else self.validation
        return step % (math.ceil(wanted / self.log) * self.log) == 0
