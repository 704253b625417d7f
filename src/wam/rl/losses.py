"""The equations of policy gradients through denoising, as pure functions."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class PolicyLoss(NamedTuple):
    """Clipped surrogate and what to watch it by.

    Attributes:
        loss: Scalar to minimise.
        approx_kl: Estimate of KL(old, new), nats per sample: mean of ``ratio - 1 - log ratio``.
        clip_fraction: Share of samples whose ratio left the clip range.
    """

    loss: Tensor
    approx_kl: Tensor
    clip_fraction: Tensor


def clip_schedule(steps: int, *, coef: float, base: float, rate: float) -> Float[Tensor, " n"]:
    """Ratio clip of each trained denoising step in the order they run; ``coef`` at the last.

    ``base + (coef - base) (exp(rate tau) - 1) / (exp(rate) - 1)`` with ``tau = i / (n - 1)``; 1 for a
    single step.

    Source:
        docs/published.md, PPO.
    """
    ones = torch.ones(1, dtype=torch.float64)
    tau = torch.arange(steps, dtype=torch.float64) / (steps - 1) if steps > 1 else ones
    return (base + (coef - base) * torch.expm1(rate * tau) / math.expm1(rate)).float()


def denoising_discount(steps: int, gamma: float) -> Float[Tensor, " n"]:
    """Weight of the advantage at each trained denoising step in the order they run."""
    return gamma ** torch.arange(steps - 1, -1, -1, dtype=torch.float32)


def clamped_log_prob(
    log_prob: Float[Tensor, "*B Hs A"], *, low: float, high: float, act_steps: int
) -> Float[Tensor, "*B"]:
    """Log-probability of a transition: each element clamped, then the mean over the executed actions.

    Args:
        log_prob: Log-probability of every element of a chunk.
        low: Lower bound of an element.
        high: Upper bound of an element.
        act_steps: Actions of the chunk that are executed; the others did not earn the reward.

    Source:
        docs/published.md, PPO.
    """
    return log_prob[..., :act_steps, :].clamp(low, high).mean((-2, -1))


def policy_loss(
    new_log_prob: Float[Tensor, "*B"],
    old_log_prob: Float[Tensor, "*B"],
    advantage: Float[Tensor, "*B"],
    clip: Float[Tensor, "*#B"],
) -> PolicyLoss:
    """PPO's clipped surrogate, ``mean max(-A r, -A clip(r, 1 - clip, 1 + clip))``.

    Source:
        Schulman et al. 2017, equation 7; docs/published.md, PPO.
    """
    log_ratio = new_log_prob - old_log_prob
    ratio = log_ratio.exp()
    clipped = torch.minimum(torch.maximum(ratio, 1 - clip), 1 + clip)
    loss = torch.maximum(-advantage * ratio, -advantage * clipped).mean()
    with torch.no_grad():
        approx_kl = (ratio - 1 - log_ratio).mean()
        clip_fraction = ((ratio - 1).abs() > clip).float().mean()
    return PolicyLoss(loss, approx_kl, clip_fraction)


def normalized(advantage: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Zero mean and unit deviation over all entries."""
    return (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
