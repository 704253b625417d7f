"""Denoising chains and their Gaussian transitions: what policy gradients through diffusion need.

The last n of K denoising steps are kept. Index i counts them in the order they run, so step i has
k = n - 1 - i::

    actions[:, 0] --k=n-1--> actions[:, 1] --> ... --k=0--> actions[:, n]   (the chunk that is executed)
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class DenoisingChain:
    """The fine-tuned end of a denoising process.

    Attributes:
        actions: ``(B, n + 1, Hs, A)``, chunks from before the first kept step to the result.
        mean: ``(B, n, Hs, A)``, means of the n transitions under the policy that drew the chain.
    """

    actions: Tensor
    mean: Tensor

    @property
    def chunk(self) -> Tensor:
        """The denoised chunk, ``(B, Hs, A)``."""
        return self.actions[:, -1]

    @property
    def steps(self) -> int:
        """n, number of kept transitions."""
        return self.mean.shape[1]

    def __post_init__(self) -> None:
        if self.actions.shape[1] != self.mean.shape[1] + 1:
            raise ValueError(
                f"a chain of {self.mean.shape[1]} transitions has one chunk more, got {self.actions.shape[1]}"
            )


def chain_steps(steps: int, device: torch.device | str = "cpu") -> Int[Tensor, " n"]:
    """Denoising step k of each kept transition, in the order they run: n - 1 down to 0."""
    return torch.arange(steps - 1, -1, -1, device=device)


def gaussian_log_prob(
    value: Float[Tensor, "*B Hs A"], mean: Float[Tensor, "*B Hs A"], std: Float[Tensor, "*#B"]
) -> Float[Tensor, "*B Hs A"]:
    """Log density of every element under N(mean, std^2), nats."""
    wide = std[..., None, None]
    return -0.5 * ((value - mean) / wide) ** 2 - wide.log() - 0.5 * math.log(2 * math.pi)
