"""Loss terms of the world model as pure functions (docs/published.md, world model)."""

from functools import reduce
from operator import add

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def image_loss(
    predicted: tuple[Float[Tensor, "N c h w"], Float[Tensor, "N c h w"]],
    target: tuple[Float[Tensor, "N c h w"], Float[Tensor, "N c h w"]],
) -> Float[Tensor, ""]:
    """0.5 x squared error summed over both images (24,576 values), mean over frames.

    It is the negative log-likelihood of a unit Gaussian without its constant, in nats per frame.
    """
    total = torch.zeros((), device=target[0].device)
    for x, y in zip(predicted, target, strict=True):
        total = total + functional.mse_loss(x, y, reduction="sum")
    return 0.5 * total / target[0].shape[0]


def weighted_sum(terms: dict[str, Tensor], coefs: dict[str, float]) -> Tensor:
    """Sum of the terms times their weights.

    Raises:
        ValueError: If a term has no weight or a weight no term.
    """
    if terms.keys() != coefs.keys():
        raise ValueError(f"losses {sorted(terms)} and coefficients {sorted(coefs)} must have the same names")
    weighed = [coefs[name] * term for name, term in terms.items()]
    return reduce(add, weighed)


def choose_frames(frames: int, fraction: float, generator: torch.Generator) -> Tensor:
    """Indices of a random share of the frames, at least one, without repetition; all of them for 1.

    No random number is drawn when all frames are chosen.
    """
    if fraction >= 1.0:
        return torch.arange(frames, device=generator.device)
    count = max(1, round(fraction * frames))
    return torch.randperm(frames, generator=generator, device=generator.device)[:count].sort().values
