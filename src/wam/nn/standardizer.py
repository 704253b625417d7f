"""Zero mean and unit variance by statistics that travel with the weights."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Standardizer(nn.Module):
    """``(x - mean) / std`` with buffers; the identity until :meth:`fit` is called.

    Args:
        dim: Width of the input.
        std_floor: Smallest standard deviation that is divided by. One-hot features that are almost never
            on have tiny deviations; without a floor a single rare class would dominate the input.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, std_floor: float = 0.1) -> None:
        super().__init__()
        if std_floor <= 0:
            raise ValueError(f"std_floor must be above 0, got {std_floor}")
        self.std_floor = std_floor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def fit(self, x: Float[Tensor, "N dim"], parts: Sequence[int] = ()) -> None:
        """Take mean and standard deviation over the rows of ``x``.

        Args:
            x: Rows to measure.
            parts: Widths of parts of a row, from left to right, that shall count alike: each comes out with
                the same sum of variances, all together with that of ``dim`` standardised numbers. Among a
                thousand one-hot numbers six that say all are lost otherwise. Empty: numbers count alike.

        Raises:
            ValueError: If ``x`` is empty or not finite, or the parts are not as wide as it is.
        """
        # of the extremes, which are NaN if anything is: of every number it would take another x of memory
        if len(x) == 0 or not all(bool(torch.isfinite(end)) for end in x.aminmax()):
            raise ValueError(
                f"cannot standardise by {len(x)} rows (empty or not finite); pass finite features"
            )
        if parts and sum(parts) != x.shape[-1]:
            raise ValueError(
                f"parts {tuple(parts)} are {sum(parts)} wide, rows {x.shape[-1]}; "
                "name the widths of all parts"
            )
        self.mean.copy_(x.mean(0))
        self.std.copy_(x.std(0, correction=0).clamp_min(self.std_floor))
        if parts:
            width = self.std.new_tensor([part for part in parts for _ in range(part)])
            self.std.mul_((width * len(parts) / len(width)).sqrt())

    def forward(self, x: Float[Tensor, "*B dim"]) -> Float[Tensor, "*B dim"]:
        """Standardised ``x``; same shape out."""
        return (x - self.mean) / self.std
