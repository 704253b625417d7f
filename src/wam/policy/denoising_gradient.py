"""Loss and gradient of denoising in one pass, without autograd.

A cloning step on a CPU is forty small operations; recording them, walking them backwards and handing out
gradients took as long as the arithmetic. The reference is ``DiffusionPolicy.loss`` and ``backward``.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from wam.nn.mish import mish_and_slope
from wam.nn.residual_mlp import ResidualBlock
from wam.policy.denoiser import DiffusionMLP


@torch.no_grad()
def denoising_gradient(
    denoiser: DiffusionMLP,
    noisy: Float[Tensor, "B Hs A"],
    k: Int[Tensor, " B"],
    cond: Float[Tensor, "B C"],
    target: Float[Tensor, "B Hs A"],
) -> Float[Tensor, ""]:
    """Mean squared error of what is predicted; its gradient replaces what the parameters hold.

    Args:
        denoiser: In float32, on a CPU.
        noisy: Noisy chunks.
        k: Denoising step of each chunk.
        cond: Standardised conditions.
        target: What should be predicted: the noise in them, or the clean chunks.
    """
    lift, _, lower = denoiser.step_embedding
    first, blocks = denoiser.trunk.input, denoiser.trunk.blocks
    assert isinstance(lift, nn.Linear)
    assert isinstance(lower, nn.Linear)
    assert first.changing is not None

    lifted, lifted_slope = mish_and_slope(_apply(lift, denoiser.step_table))
    changing = torch.cat((noisy.flatten(1), _apply(lower, lifted)[k]), 1)
    x = torch.addmm(linear(cond, first.static, first.bias), changing, first.changing.t())
    tape: list[tuple[ResidualBlock, Tensor, Tensor, Tensor, Tensor]] = []
    for block in blocks:
        assert isinstance(block, ResidualBlock)
        active, slope = mish_and_slope(x)
        inner, inner_slope = mish_and_slope(_apply(block.first, active))
        tape.append((block, active, slope, inner, inner_slope))
        x = x + _apply(block.second, inner)
    error = _apply(denoiser.trunk.output, x).sub_(target.flatten(1))
    loss = error.square().mean()

    grad = _back(denoiser.trunk.output, x, error.mul_(2 / error.numel()))
    for block, active, slope, inner, inner_slope in reversed(tape):
        branch = _back(block.second, inner, grad).mul_(inner_slope)
        grad = _back(block.first, active, branch).mul_(slope).add_(grad)
    first.static.grad = grad.t() @ cond
    first.changing.grad = grad.t() @ changing
    first.bias.grad = grad.sum(0)
    embedded = grad @ first.changing[:, noisy[0].numel() :]
    by_step = embedded.new_zeros(len(denoiser.step_table), embedded.shape[1]).index_add_(0, k, embedded)
    lifted_grad = _back(lower, lifted, by_step).mul_(lifted_slope)
    lift.weight.grad = lifted_grad.t() @ denoiser.step_table
    lift.bias.grad = lifted_grad.sum(0)
    return loss


def _apply(layer: nn.Linear, x: Tensor) -> Tensor:
    return linear(x, layer.weight, layer.bias)


def _back(layer: nn.Linear, x: Tensor, grad: Tensor) -> Tensor:
    """Gradient of a layer's input; those of its parameters are kept in them."""
    layer.weight.grad = grad.t() @ x
    layer.bias.grad = grad.sum(0)
    return grad @ layer.weight
