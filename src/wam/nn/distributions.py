"""Vectors of one-hot categoricals: sampling with straight-through gradients, entropy, KL.

Logits have shape ``(..., V, C)``: ``V`` independent categoricals with ``C`` classes each.
"""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

FEW_CLASSES: Final = 8
"""Up to so many, PyTorch's softmax on a CPU takes several times as long as its steps one by one."""


def gumbel_noise(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Standard Gumbel noise: ``argmax(logits + noise)`` is a sample of the categorical.

    It is drawn on the generator's device: a generator of the CPU gives every device the same numbers.
    """
    exponential = torch.empty(shape, device=generator.device).exponential_(generator=generator)
    return exponential.log_().neg_().to(device)


def sample_one_hot(
    logits: Float[Tensor, "*batch V C"], noise: Float[Tensor, "*batch V C"]
) -> Float[Tensor, "*batch V C"]:
    """One-hot samples whose gradient is that of the probabilities (straight-through estimator).

    Args:
        logits: Unnormalised log-probabilities.
        noise: Standard Gumbel noise of the same shape.
    """
    probs = torch.softmax(logits, dim=-1)
    return hard_one_hot(logits, noise) + (probs - probs.detach())  # the bracket is exactly 0


def hard_one_hot(
    logits: Float[Tensor, "*batch V C"], noise: Float[Tensor, "*batch V C"]
) -> Float[Tensor, "*batch V C"]:
    """One-hot samples without gradient."""
    index = (logits.detach() + noise).argmax(dim=-1, keepdim=True)
    return torch.zeros_like(logits).scatter_(-1, index, 1.0)


def log_probabilities(logits: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
    """Normalised log-probabilities."""
    if logits.device.type != "cpu" or logits.shape[-1] > FEW_CLASSES:
        return functional.log_softmax(logits, dim=-1)
    shifted = logits - logits.detach().amax(dim=-1, keepdim=True)
    return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()


def categorical_kl(
    p_logits: Float[Tensor, "*batch V C"], q_logits: Float[Tensor, "*batch V C"]
) -> Float[Tensor, "*batch"]:
    """KL(p || q) in nats, summed over the ``V`` categoricals."""
    p_log, q_log = log_probabilities(p_logits), log_probabilities(q_logits)
    return (p_log.exp() * (p_log - q_log)).sum(dim=(-2, -1))


def categorical_entropy(logits: Float[Tensor, "*batch V C"]) -> Float[Tensor, "*batch"]:
    """Entropy in nats, summed over the ``V`` categoricals."""
    log_probs = log_probabilities(logits)
    return -(log_probs.exp() * log_probs).sum(dim=(-2, -1))


def balanced_kl(
    posterior_logits: Float[Tensor, "*batch V C"],
    prior_logits: Float[Tensor, "*batch V C"],
    balance: float,
) -> Float[Tensor, "*batch"]:
    """``balance`` KL(sg(q) || p) + (1 - ``balance``) KL(q || sg(p)), without free nats.

    The first term teaches the prior p, the second regularises the posterior q (DreamerV2, equation 4;
    docs/published.md, world model).

    Args:
        posterior_logits: Of q.
        prior_logits: Of p.
        balance: Share of the term that trains the prior, in [0, 1]; published 0.8.
    """
    if posterior_logits.device.type == "cpu":
        kl: Tensor = _BalancedKL.apply(posterior_logits, prior_logits, balance)  # type: ignore[no-untyped-call]
        return kl
    to_prior = categorical_kl(posterior_logits.detach(), prior_logits)
    to_posterior = categorical_kl(posterior_logits, prior_logits.detach())
    return balance * to_prior + (1.0 - balance) * to_posterior


class _BalancedKL(torch.autograd.Function):
    """Both terms have one value; their gradients are ``q (log q - log p - KL)`` and ``p - q``."""

    @staticmethod
    def forward(ctx: Any, posterior_logits: Tensor, prior_logits: Tensor, balance: float) -> Tensor:
        q_log, p_log = log_probabilities(posterior_logits), log_probabilities(prior_logits)
        q, difference = q_log.exp(), q_log - p_log
        each = (q * difference).sum(dim=-1, keepdim=True)
        ctx.balance = balance
        ctx.save_for_backward(q, p_log, difference, each)
        return each.sum(dim=(-2, -1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        q, p_log, difference, each = ctx.saved_tensors
        scale = grad[..., None, None]
        to_posterior = (difference - each).mul_(q).mul_(scale * (1.0 - ctx.balance))
        to_prior = p_log.exp().sub_(q).mul_(scale * ctx.balance)
        return to_posterior, to_prior, None
