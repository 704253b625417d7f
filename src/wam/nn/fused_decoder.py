"""Decoding to an image and comparing it with the recorded one, forward and backward at once, for CPUs.

The loss is a plain sum over frames, so its gradients are known as soon as a frame is decoded. Frames are
therefore taken a few at a time from the first layer's output to its gradient while everything is in the
cache, and no other activation outlives its chunk. The first layer has the largest weight, and its products
with all frames are made once. The layers are those of ``ConvDecoder``, which this must equal, in forms that
the CPU's matrix products are quick at; tensors have channels last, ``(n, h, w, c)``:

- a transposed convolution of few pixels and many channels is one product and a sum of shifted pieces;
- one with an even kernel and stride 2 is a plain convolution of half the kernel to four times the channels,
  one group of channels for each pixel of a 2x2 cell. The last layer stays in this *cell* form, and the
  recorded image is brought to it instead. Where the third layer is wide, it takes fewer products in fp32
  (``wam.nn.winograd``).
"""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from wam.nn.elu import elu_, elu_backward
from wam.nn.strided import (
    add_product,
    add_shifted,
    column_sums,
    convolve_padded,
    from_cell_weight,
    from_cells,
    padded_gradients,
    patches,
    to_cell_weight,
    to_cells,
)
from wam.nn.winograd import TiledConvolution, fewer_products

CHUNK = 64
"""Frames taken at once; small enough for the cache, large enough for the matrix products."""
TILE = 5
"""Outputs along a side of a tile of the third layer: its 15 are three of them."""
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
        error: Tensor = _DecodedError.apply(x, cells, precision, *weights)  # type: ignore[no-untyped-call]
    return error


def image_cells(image: UInt8[Tensor, "N 64 64 3"]) -> UInt8[Tensor, "N 32 32 12"]:
    """The bytes of each 2x2 cell side by side: row, column, colour."""
    count = len(image)
    halves = torch.arange(count * 2 * CELLS * CELLS, device=image.device).view(count, CELLS, 2, CELLS)
    rows = image.reshape(-1, 6).index_select(0, halves.transpose(2, 3).reshape(-1))  # quicker than permute
    return rows.view(count, CELLS, CELLS, 12)


class _DecodedError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cells: Tensor, precision: torch.dtype, *weights: Tensor) -> Tensor:
        stack, shown = _Stack(tuple(weight.to(precision) for weight in weights)), x.to(precision)
        total = x.new_zeros((), dtype=torch.float32)
        wanted = any(ctx.needs_input_grad)
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
        return d_x, None, None, *d_weights


class _Stack:
    """The four layers in their quick forms, the activations of one chunk, and fp32 sums of the gradients."""

    def __init__(self, weights: tuple[Tensor, ...]) -> None:
        point, point_bias, spread, spread_bias, double, double_bias, last, last_bias = weights
        self.shapes = [weight.shape for weight in weights[::2]]
        taps = point.shape[2] * point.shape[3]
        self.point = point.permute(0, 2, 3, 1).reshape(len(point), -1)
        self.point_bias = point_bias.repeat(taps)
        self.spread = spread.permute(0, 2, 3, 1).reshape(len(spread), -1)
        self.spread_bias = spread_bias
        self.double, self.double_bias = to_cell_weight(double), double_bias.repeat(4)
        tiled = fewer_products(self.double)
        self.tiled = TiledConvolution(self.double, TILE, double.shape[-1] // 2 - 1) if tiled else None
        self.last, self.last_bias = to_cell_weight(last), last_bias.repeat(4)
        kept = (self.spread, spread_bias, self.double, double_bias, self.last, last_bias)
        self.sums = [torch.zeros_like(weight, dtype=torch.float32) for weight in kept]
        self.kept: tuple[Tensor, ...] = ()

    def points(self, x: Tensor) -> Tensor:
        """Output of the first layer, each frame's pixels side by side, ``(N, h w c)``."""
        return elu_(torch.addmm(self.point_bias, x, self.point))

    def decode(self, points: Tensor) -> Tensor:
        """Images in cell form, ``(n, 32, 32, 12)``."""
        _, channels, height, width = self.shapes[0]
        a = points.view(len(points), height, width, channels)
        pieces = a.view(-1, channels) @ self.spread
        b = elu_(add_shifted(pieces.view(*a.shape[:3], *self.shapes[1][2:], -1)).add_(self.spread_bias))
        c = elu_(
            self.tiled.convolve(b, self.double_bias)
            if self.tiled
            else convolve_padded(b, self.double, self.double_bias)
        )
        d = from_cells(c)
        self.kept = (a, b, c, d)
        return convolve_padded(d, self.last, self.last_bias)

    def backward(self, grad: Tensor) -> Tensor:
        """Gradient of the first ELU's input, from that of the images; adds up those of later weights."""
        a, b, c, d = self.kept
        d_d = self._convolution(4, grad, d, self.last)
        d_c = elu_backward(to_cells(d_d), c)
        d_b = elu_backward(self._double_gradient(d_c, b), b)
        pieces = patches(d_b, self.shapes[1][-1])
        flat = a.view(len(pieces), -1)
        add_product(self.sums[0], flat.t(), pieces)
        self.sums[1].add_(column_sums(d_b))
        return elu_backward((pieces @ self.spread.t()).view(a.shape), a).view(len(a), -1)

    def _double_gradient(self, grad: Tensor, x: Tensor) -> Tensor:
        if not self.tiled:
            return self._convolution(2, grad, x, self.double)
        self.sums[3].add_(column_sums(grad).view(4, -1).sum(dim=0))
        return self.tiled.backward(grad, x)

    def _convolution(self, place: int, grad: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        """Gradient of the input of a convolution in cell form; adds up those of its weight and bias."""
        d_x, d_weight = padded_gradients(grad, x, weight)
        self.sums[place].add_(d_weight)
        self.sums[place + 1].add_(column_sums(grad).view(4, -1).sum(dim=0))
        return d_x

    def gradients(self, x: Tensor, d_points: Tensor) -> list[Tensor]:
        """Of the input, then of the weights and biases in the shapes of the layers.

        Args:
            x: The input of all frames.
            d_points: What ``backward`` gave for them.
        """
        d_spread, d_spread_bias, d_double, d_double_bias, d_last, d_last_bias = self.sums
        if self.tiled:
            d_double = self.tiled.weight_gradient()
        d_point = (x.t() @ d_points).float()
        d_point_bias = column_sums(d_points).float().view(-1, self.shapes[0][1]).sum(dim=0)
        products = [
            d.view(len(d), *shape[2:], -1).permute(0, 3, 1, 2)
            for d, shape in zip((d_point, d_spread), self.shapes[:2], strict=True)
        ]
        return [
            *(d_points @ self.point.t(), products[0], d_point_bias, products[1], d_spread_bias),
            *(from_cell_weight(d_double), d_double_bias, from_cell_weight(d_last), d_last_bias),
        ]
