"""Behavior cloning: expert chunks to a diffusion policy with averaged weights."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from wam.contracts import LossOutput, config_to_dict
from wam.nn.linear_init import fan_in_uniform_
from wam.policy.config import (
    PUBLISHED_CYCLE_EPOCHS,
    PUBLISHED_EMA_EVERY_EPOCHS,
    PUBLISHED_EMA_START_EPOCH,
    PUBLISHED_WARMUP_EPOCHS,
    CloningConfig,
    DiffusionConfig,
)
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.windows import chunk_windows
from wam.seeding import torch_generator
from wam.training.checkpoint import Checkpoint
from wam.training.config import steps_in_all
from wam.training.ema import Averaging
from wam.training.loop import TrainingResult, train
from wam.training.optim import cycle_rate_at
from wam.training.passes import ShuffledPasses, Stateless

ACTION_TOLERANCE = 1e-4
"""How far an expert action may leave [-1, 1] by rounding."""


@dataclass(frozen=True)
class Chunks:
    """Expert windows.

    Attributes:
        cond: ``(N, C)``, condition of every step.
        action: ``(N, A)`` in [-1, 1], action taken at every step.
        window: ``(M, Hs)``, rows of every window; a window's condition is that of its first row.
    """

    cond: Tensor
    action: Tensor
    window: Tensor

    def __len__(self) -> int:
        return len(self.window)

    def to(self, device: torch.device | str) -> "Chunks":
        """The same windows on another device."""
        return Chunks(self.cond.to(device), self.action.to(device), self.window.to(device))


def chunks_from_episodes(
    cond: Float32[np.ndarray, "N C"],
    action: Float32[np.ndarray, "N_action A"],
    segment: Int64[np.ndarray, " N_segment"],
    step: Int64[np.ndarray, " N_step"],
    *,
    horizon_steps: int,
    pad_end: bool = False,
) -> Chunks:
    """Windows of consecutive expert actions inside segments.

    Args:
        cond: Condition of every step (features, or any other vector).
        action: Action taken at every step.
        segment: Segment of every step; rows of a segment lie one after another.
        step: Number of every step in its segment.
        horizon_steps: Actions in a window.
        pad_end: Also use windows over a segment's end, its last action repeated.

    Raises:
        ValueError: If the lengths differ, a number is not finite or an action leaves [-1, 1].
    """
    if not len(cond) == len(action) == len(segment) == len(step):
        raise ValueError(
            f"rows differ: {len(cond)} conditions, {len(action)} actions, "
            f"{len(segment)} segments, {len(step)} steps"
        )
    if not (np.isfinite(cond).all() and np.isfinite(action).all()):
        raise ValueError("expert conditions or actions are not finite; look at the features they came from")
    largest = float(np.abs(action).max(initial=0.0))
    if largest > 1 + ACTION_TOLERANCE:
        raise ValueError(f"an expert action has the value {largest}, outside [-1, 1]; pass relative actions")
    window = chunk_windows(segment, step, horizon_steps, pad_end=pad_end)
    return Chunks(torch.from_numpy(cond), torch.from_numpy(action), torch.from_numpy(window))


class CloningObjective(Stateless):
    """Noise prediction on random expert windows: shuffled passes, each batch a function of seed and step.

    Args:
        policy: Policy to train.
        chunks: Expert windows, on the policy's device.
        batch: Windows per gradient step.
        seed: Seed of the shuffles and of the noise.
    """

    def __init__(self, policy: DiffusionPolicy, chunks: Chunks, *, batch: int, seed: int) -> None:
        self.policy = policy
        self.chunks = chunks
        self.seed = seed
        self.passes = ShuffledPasses(np.arange(len(chunks)), batch, seed, "cloning order")

    def modules(self) -> nn.Module:
        """The policy."""
        return self.policy

    def loss(self, step: int) -> LossOutput:
        """Loss on the batch of gradient step ``step``."""
        return self.policy.loss(*self._drawn(step))

    def accumulate(self, step: int) -> LossOutput:
        """As :meth:`loss`, its gradient left in the parameters."""
        if self.chunks.cond.device.type == "cpu":
            return self.policy.loss_with_gradient(*self._drawn(step))
        output = self.loss(step)
        output.loss.backward()  # type: ignore[no-untyped-call]
        return output

    def _drawn(self, step: int) -> tuple[Tensor, Tensor, torch.Generator]:
        """Conditions and chunks of a batch, and where its noise comes from."""
        windows = self.chunks.window[torch.from_numpy(self.passes.rows(step)).to(self.chunks.window.device)]
        generator = torch_generator(self.seed, "cloning noise", step)
        return self.chunks.cond[windows[:, 0]], self.chunks.action[windows], generator


@dataclass(frozen=True)
class CloneResult:
    """What cloning gives.

    Attributes:
        policy: Averaged weights (the last ones without averaging): what is evaluated and fine-tuned.
        raw_policy: Last weights; the published evaluation of cloning uses them (fault B13).
        training: Curves.
    """

    policy: DiffusionPolicy
    raw_policy: DiffusionPolicy
    training: TrainingResult


def clone_policy(
    chunks: Chunks,
    diffusion: DiffusionConfig,
    cloning: CloningConfig,
    *,
    seed: int,
    parts: Sequence[int] = (),
    work_dir: Path | None = None,
    device: torch.device | str = "cpu",
    stop_after: int | None = None,
    description: str = "behavior cloning",
) -> CloneResult:
    """Train a diffusion policy on expert windows, from seeded weights.

    Args:
        chunks: Windows of ``diffusion.horizon_steps`` actions.
        diffusion: Network and denoising process.
        cloning: Length, batches, optimiser, averaging.
        seed: Seed of weights, batches and noise.
        parts: Widths of the parts of a condition, for ``parts_alike``.
        work_dir: Scratch folder to resume from; None keeps nothing.
        device: Where to train; the policies are returned on the CPU.
        stop_after: End after this many steps although more are planned.
        description: Shown at the progress bar.

    Raises:
        ValueError: If the windows have another length than the policy's chunks.
    """
    if chunks.window.shape[1] != diffusion.horizon_steps:
        raise ValueError(
            f"windows of {chunks.window.shape[1]} actions, but horizon_steps is {diffusion.horizon_steps}"
        )
    policy = DiffusionPolicy(chunks.cond.shape[1], diffusion)
    fan_in_uniform_(policy, seed)
    policy.fit_condition(chunks.cond[chunks.window[:, 0]], parts)
    policy.to(device)
    objective = CloningObjective(policy, chunks.to(device), batch=cloning.batch, seed=seed)
    passes = objective.passes.steps
    pages = {"diffusion": config_to_dict(diffusion), "cloning": config_to_dict(cloning), "seed": seed}
    pages |= {"parts": list(parts)}
    data = {"cond": chunks.cond, "action": chunks.action, "window": chunks.window}
    training = train(
        objective,
        steps=steps_in_all(cloning.steps, cloning.epochs, passes),
        optimizer=cloning.optimizer,
        averaging=_averaging(cloning, passes),
        rate=_rate(cloning, passes),
        stop_after=stop_after,
        work_dir=work_dir,
        description=description,
        key=Checkpoint("cloning", data, pages).digest if work_dir else "",
    )
    raw = policy.cpu()
    averaged = copy.deepcopy(raw)
    if training.ema_weights is not None:
        averaged.load_state_dict(training.ema_weights)
    return CloneResult(policy=averaged, raw_policy=raw, training=training)


def _averaging(page: CloningConfig, passes: int) -> Averaging | None:
    """When the average of the weights moves, for ``passes`` gradient steps an epoch."""
    if page.ema_decay is None:
        return None
    if page.cadence == "step":
        return Averaging(page.ema_decay, page.ema_every_steps, page.ema_start_step)
    return Averaging(page.ema_decay, PUBLISHED_EMA_EVERY_EPOCHS * passes, PUBLISHED_EMA_START_EPOCH * passes)


def _rate(page: CloningConfig, passes: int) -> Callable[[int], float] | None:
    """The published step size of each step; None where the optimiser's page says it."""
    if page.cadence == "step":
        return None
    return lambda step: cycle_rate_at(
        step // passes,
        peak=page.optimizer.learning_rate,
        floor=page.optimizer.final_learning_rate,
        warmup=PUBLISHED_WARMUP_EPOCHS,
        cycle=PUBLISHED_CYCLE_EPOCHS,
    )
