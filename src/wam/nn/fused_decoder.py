"""Decoding to an image and comparing it with the recorded one, forward and backward at once, for CPUs.

The loss is a plain sum over frames, so its gradients are known as soon as a frame is decoded. Frames are
therefore taken a few at a time from the first layer's output to its gradient while everything is in the
cache, and no other activation outlives its chunk. The first layer has the largest weight, and its products
with all frames are made once. The layers are those of ``ConvDecoder``, which this must equal, in the forms of
``wam.nn.decoder_layers``; tensors have channels last, ``(n, h, w, c)``. The last layer's output stays in
cells, and the recorded image is brought to these instead.
"""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from wam.nn.decoder_layers import DOUBLE_TILE, cell_layer, spread_layer
from wam.nn.elu import elu_, elu_backward
from wam.nn.strided import column_sums, from_cells, to_cells

CHUNK = 64
"""Frames taken at once; small enough for the cache, large enough for the matrix products."""
CELLS = 32
"""2x2 cells along an image's side."""


def decoded_error(
    x: Float[Tensor, "N inputs"],
    image: UInt8[Tensor, "N 64 64 3"],
    weights: tuple[Tensor, ...],
    precision: torch.dtype = torch.float32,
) -> Float[Tensor, ""]:
    """Half the squared error between decoded and recorded images, summed over frames, pixels and channels.

    Args:
        x: Input of the first layer.
        image: Recorded, as bytes.
        weights: Weight and bias of each of the four layers of a ``ConvDecoder``, in turn.
        precision: Of activations and products; errors are added up in fp32.
    """
    cells = image_cells(image)
    with torch.autocast("cpu", enabled=False):  # as a decorator threads would share what it restores
        wanted = torch.is_grad_enabled() and any(part.requires_grad for part in (x, *weights))
        error: Tensor = _DecodedError.apply(x, cells, precision, wanted, *weights)  # type: ignore[no-untyped-call]
    return error


def image_cells(image: UInt8[Tensor, "N 64 64 3"]) -> UInt8[Tensor, "N 32 32 12"]:
    """The bytes of each 2x2 cell side by side: row, column, colour."""
    count = len(image)
    halves = torch.arange(count * 2 * CELLS * CELLS, device=image.device).view(count, CELLS, 2, CELLS)
    rows = image.reshape(-1, 6).index_select(0, halves.transpose(2, 3).reshape(-1))  # quicker than permute
    return rows.view(count, CELLS, CELLS, 12)


class _DecodedError(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, cells: Tensor, precision: torch.dtype, wanted: bool, *weights: Tensor
    ) -> Tensor:
        stack, shown = _Stack(tuple(weight.to(precision) for weight in weights), len(x)), x.to(precision)
        total = x.new_zeros((), dtype=torch.float32)
        points = stack.points(shown)
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            difference = stack.decode(points[rows]).float().sub_(cells[rows].float().div_(127.5).sub_(1.0))
            flat = difference.view(-1)
            total += 0.5 * flat.dot(flat)
            if wanted:  # the gradient takes the place of what it is of
                points[rows] = stack.backward(difference.to(precision))
        if wanted:
            d_x, *d_weights = stack.gradients(shown, points)
            ctx.save_for_backward(d_x.to(x.dtype), *d_weights)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d_x, *d_weights = (saved * grad.to(saved.dtype) for saved in ctx.saved_tensors)
        return d_x, None, None, None, *d_weights


class _Stack:
    """The four layers in their quick forms and the activations of one chunk."""

    def __init__(self, weights: tuple[Tensor, ...], frames: int) -> None:
        point, point_bias, spread, spread_bias, double, double_bias, last, last_bias = weights
        self.shape = point.shape
        self.point = point.permute(0, 2, 3, 1).reshape(len(point), -1)
        self.point_bias = point_bias.repeat(point.shape[2] * point.shape[3])
        self.spread = spread_layer(spread, spread_bias, frames)
        self.double = cell_layer(double, double_bias, frames, DOUBLE_TILE)
        self.last = cell_layer(last, last_bias, frames)
        self.kept: tuple[Tensor, ...] = ()

    def points(self, x: Tensor) -> Tensor:
        """Output of the first layer, each frame's pixels side by side, ``(N, h w c)``."""
        return elu_(torch.addmm(self.point_bias, x, self.point))

    def decode(self, points: Tensor) -> Tensor:
        """Images in cell form, ``(n, 32, 32, 12)``."""
        _, channels, height, width = self.shape
        a = points.view(len(points), height, width, channels)
        b = elu_(self.spread.decode(a))
        c = elu_(self.double.decode(b))
        d = from_cells(c)
        self.kept = (a, b, c, d)
        return self.last.decode(d)

    def backward(self, grad: Tensor) -> Tensor:
        """Gradient of the first ELU's input, from that of the images; adds up those of later weights."""
        a, b, c, d = self.kept
        d_c = elu_backward(to_cells(self.last.backward(grad, d)), c)
        d_b = elu_backward(self.double.backward(d_c, b), b)
        return elu_backward(self.spread.backward(d_b, a), a).view(len(a), -1)

    def gradients(self, x: Tensor, d_points: Tensor) -> list[Tensor]:
        """Of the input, then of the weights and biases in the shapes of the layers.

        Args:
            x: The input of all frames.
            d_points: What ``backward`` gave for them.
        """
        _, channels, height, width = self.shape
        d_point = (x.t() @ d_points).float().view(-1, height, width, channels).permute(0, 3, 1, 2)
        d_point_bias = column_sums(d_points).float().view(-1, channels).sum(dim=0)
        later = [d for layer in (self.spread, self.double, self.last) for d in layer.gradients()]
        return [d_points @ self.point.t(), d_point, d_point_bias, *later]
