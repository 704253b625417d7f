"""Mish, ``x tanh(log(1 + e^x))``, with a quicker form on CPUs.

With ``n = e^x (e^x + 2)`` it is ``x n / (n + 2)``: one exponential where the definition takes three
transcendental functions. The steps run over blocks that stay in the processor's cache.
"""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

BLOCK: Final = 65_536
"""Numbers worked on at a time: the least for which the arithmetic outweighs the calls."""
LARGE: Final = 20.0
"""From here on Mish is ``x`` in float32; far beyond it ``n`` would be infinite."""


class Mish(nn.Module):
    """The activation; PyTorch's own where it is not float32 on a CPU."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Apply it to each number; can be differentiated once."""
        if x.device.type != "cpu" or x.dtype != torch.float32:
            return functional.mish(x)
        result: Tensor = _CPUMish.apply(x)  # type: ignore[no-untyped-call]
        return result


def mish_and_slope(x: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Mish of float32 numbers and its derivative, from one exponential; outside autograd.

    The derivative is ``(n + 4 x e^x (e^x + 1) / (n + 2)) / (n + 2)``.
    """
    y, slope, d = (torch.empty_like(x) for _ in range(3))
    _write(x, y, slope, e=slope, d=d)
    return y, slope


def _write(x: Tensor, y: Tensor, slope: Tensor | None, e: Tensor, d: Tensor) -> None:
    """Mish into ``y``, its derivative into ``slope``, which may be ``e``; ``e`` and ``d`` are scratch."""
    torch.clamp_max(x, LARGE, out=e).exp_()
    n = torch.add(e, 2, out=y).mul_(e)
    torch.add(n, 2, out=d)
    if slope is not None:
        torch.addcmul(e, e, e, out=e).mul_(x).div_(d)
        torch.add(n, e, alpha=4, out=slope).div_(d)
    n.div_(d).mul_(x)


class _CPUMish(torch.autograd.Function):
    """Keeps the slope for the backward pass, in place of the input: both come from the one exponential."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y, scratch = torch.empty_like(x), torch.empty(2, min(BLOCK, x.numel()))
        slope = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        slopes = [None] * len(_blocks(x)) if slope is None else _blocks(slope)
        for inputs, outputs, steep in zip(_blocks(x), _blocks(y), slopes, strict=True):
            _write(inputs, outputs, steep, *scratch[:, : len(inputs)])
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return slope * grad  # type: ignore[no-any-return]


def _blocks(x: Tensor) -> tuple[Tensor, ...]:
    return torch.split(x.view(-1), BLOCK)
