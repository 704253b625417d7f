"""Vectors of one-hot categoricals: sampling with straight-through gradients, entropy, KL.

Logits have shape ``(..., V, C)``: ``V`` independent categoricals with ``C`` classes each.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def gumbel_noise(
    shape: tuple[int, ...], generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Standard Gumbel noise: ``argmax(logits + noise)`` is a sample of the categorical.

    It is drawn on the generator's device, so a run on another device sees the same numbers.
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


def categorical_kl(
    p_logits: Float[Tensor, "*batch V C"], q_logits: Float[Tensor, "*batch V C"]
) -> Float[Tensor, "*batch"]:
    """KL(p || q) in nats, summed over the ``V`` categoricals."""
    p_log = functional.log_softmax(p_logits, dim=-1)
    q_log = functional.log_softmax(q_logits, dim=-1)
    return (p_log.exp() * (p_log - q_log)).sum(dim=(-2, -1))


def categorical_entropy(logits: Float[Tensor, "*batch V C"]) -> Float[Tensor, "*batch"]:
    """Entropy in nats, summed over the ``V`` categoricals."""
    log_probs = functional.log_softmax(logits, dim=-1)
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
    to_prior = categorical_kl(posterior_logits.detach(), prior_logits)
    to_posterior = categorical_kl(posterior_logits, prior_logits.detach())
    return balance * to_prior + (1.0 - balance) * to_posterior
