"""Normalisers whose statistics travel with the weights."""

import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor, nn


class MinMaxNormalizer(nn.Module):
    """Maps each component from [minimum, maximum] to [0, 1]; values outside are not clipped.

    A component that never varies in the data keeps its unit: only its minimum is subtracted.

    Args:
        size: Number of components; the identity until ``set_bounds_`` is called.
    """

    minimum: Tensor
    maximum: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("minimum", torch.zeros(size))
        self.register_buffer("maximum", torch.ones(size))

    @torch.no_grad()
    def set_bounds_(self, minimum: ArrayLike, maximum: ArrayLike) -> None:
        """Set the statistics in place.

        Raises:
            ValueError: On a wrong shape, a value that is not finite, or a minimum above its maximum.
        """
        low = torch.as_tensor(minimum, dtype=torch.float32).to(self.minimum.device)
        high = torch.as_tensor(maximum, dtype=torch.float32).to(self.minimum.device)
        for name, values in (("minimum", low), ("maximum", high)):
            if values.shape != self.minimum.shape:
                raise ValueError(f"{name} has shape {tuple(values.shape)}, want {tuple(self.minimum.shape)}")
            if not values.isfinite().all():
                raise ValueError(f"{name} has values that are not finite: {values.tolist()}")
        if (low > high).any():
            raise ValueError(f"minimum {low.tolist()} lies above maximum {high.tolist()}")
        self.minimum.copy_(low)
        self.maximum.copy_(high)

    def forward(self, raw: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
        """Normalise; computed in float32."""
        span = self.maximum - self.minimum
        return (raw - self.minimum) / torch.where(span > 0, span, torch.ones_like(span))
