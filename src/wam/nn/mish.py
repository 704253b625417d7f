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
    e = torch.clamp_max(x, LARGE).exp_()
    n = torch.add(e, 2).mul_(e)
    d = torch.add(n, 2)
    slope = torch.addcmul(e, e, e, out=e).mul_(x).div_(d)
    slope.mul_(4).add_(n).div_(d)
    return n.div_(d).mul_(x), slope


class _CPUMish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        y, scratch = torch.empty_like(x), torch.empty(min(BLOCK, x.numel()))
        for inputs, outputs in zip(_blocks(x), _blocks(y), strict=True):
            e = torch.clamp_max(inputs, LARGE, out=scratch[: len(inputs)]).exp_()
            n = torch.add(e, 2, out=outputs).mul_(e)
            n.div_(torch.add(n, 2, out=e)).mul_(inputs)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The gradient times ``(n + 4 x e^x (e^x + 1) / (n + 2)) / (n + 2)``."""
        (x,) = ctx.saved_tensors
        result, scratch = torch.empty_like(x), torch.empty(2, min(BLOCK, x.numel()))
        for inputs, grads, outputs in zip(*map(_blocks, (x, grad.contiguous(), result)), strict=True):
            e, d = scratch[:, : len(inputs)]
            torch.clamp_max(inputs, LARGE, out=e).exp_()
            n = torch.add(e, 2, out=outputs).mul_(e)
            torch.add(n, 2, out=d)
            slope = torch.addcmul(e, e, e, out=e).mul_(inputs).div_(d)
            n.add_(slope, alpha=4).div_(d).mul_(grads)
        return result


def _blocks(x: Tensor) -> tuple[Tensor, ...]:
    return torch.split(x.view(-1), BLOCK)
