"""ELU for loops that do their own backward pass."""

import torch
from torch import Tensor

aten = torch.ops.aten


def elu_(x: Tensor, out: Tensor | None = None) -> Tensor:
    """``x`` where positive, else ``exp(x) - 1``; written to ``out``, or over ``x``, and returned.

    ``functional.elu`` takes ``expm1``, which is twice as slow on CPUs; here values just below 0 are off by
    up to one rounding step of 1, as those of any sum of order 1 are. In bf16 that step is large, and what is
    exact costs no more there.
    """
    if x.dtype == torch.bfloat16:
        return aten.elu.out(x, out=x if out is None else out)  # type: ignore[no-any-return]
    below = torch.clamp_max(x, 0.0).exp_().sub_(1.0)
    return torch.maximum(x, below, out=x if out is None else out)


def elu_backward(grad: Tensor, y: Tensor) -> Tensor:
    """Gradient of ELU's input from that of its output ``y``."""
    d_x: Tensor = aten.elu_backward(grad, 1.0, 1.0, 1.0, True, y)
    return d_x
