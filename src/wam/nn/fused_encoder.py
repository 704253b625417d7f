"""The camera encoder from bytes to features with a backward pass of its own, for CPUs.

The layers are those of ``ConvEncoder``, which this must equal. Frames are taken a few at a time, so that
pixels are turned to numbers, convolved and passed through ELU while they are in the cache; edges that no
later layer looks at are left out (of 64 pixels 62 are seen, of the first layer's 31 columns 30). Gradients of
a layer's input are convolutions to 2x2 cells; those of wide kernels are single products. In fp32 wide layers
are convolutions over 2x2 cells with fewer products (``wam.nn.winograd``).
"""

from functools import cached_property
from typing import Any, Final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from wam.nn.elu import elu_, elu_backward
from wam.nn.strided import (
    add_product,
    add_shifted,
    cell_filter,
    channels_first,
    channels_last,
    column_sums,
    convolve_padded,
    from_cell_filter,
    from_cells,
    patches,
    to_cell_weight,
    to_cells,
)
from wam.nn.winograd import TiledConvolution, fewer_products

aten = torch.ops.aten

CHUNK = 64
"""Frames taken at once."""
SEEN: Final = 62
"""Pixels along a side that reach the last layer."""
SIDES: Final = (30, 14, 6, 2)
"""Of each layer's output."""
KERNEL: Final = 4
TILES: Final = {14: 2, 6: 3}
"""Outputs along a side of a tile, by those along a side of the layer, where tiles are quicker."""
WIDE: Final = 384
"""From this many inputs on, the gradient of a kernel is quicker as a product over patches."""


def encode_bytes(
    image: UInt8[Tensor, "N 64 64 3"], weights: tuple[Tensor, ...], precision: torch.dtype = torch.float32
) -> Float[Tensor, "N outputs"]:
    """What a ``ConvEncoder`` makes of images, here as bytes.

    Args:
        image: Recorded.
        weights: Weight and bias of each of the four layers, in turn.
        precision: Of activations and products, and of what is returned.
    """
    with torch.autocast("cpu", enabled=False):  # as a decorator threads would share what it restores
        encoded: Tensor = _EncodeBytes.apply(image, precision, *weights)  # type: ignore[no-untyped-call]
    return encoded


class _EncodeBytes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, precision: torch.dtype, *weights: Tensor) -> Tensor:
        kernels, biases = ([x.to(precision) for x in part] for part in (weights[::2], weights[1::2]))
        outputs = [
            bias.new_empty(len(image), side, side, len(bias))
            for side, bias in zip(SIDES, biases, strict=True)
        ]
        layers = [_layer(kernel, side, len(image)) for kernel, side in zip(kernels, SIDES, strict=True)]
        for start in range(0, len(image), CHUNK):
            rows = slice(start, start + CHUNK)
            x = _pixels(image[rows], biases[0].dtype)
            for layer, bias, output in zip(layers, biases, outputs, strict=True):
                x = elu_(layer.convolve(x, bias), out=output[rows])
        ctx.save_for_backward(image, *kernels, *outputs)
        return channels_first(outputs[-1]).flatten(start_dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        image, *tensors = ctx.saved_tensors
        with torch.autocast("cpu", enabled=False):
            return None, None, *_gradients(grad, image, tensors[:4], tensors[4:])


def _gradients(grad: Tensor, image: Tensor, kernels: list[Tensor], outputs: list[Tensor]) -> list[Tensor]:
    """Of each layer's kernel and bias, in turn, from that of the features."""
    layers = [_layer(kernel, side, len(image)) for kernel, side in zip(kernels, SIDES, strict=True)]
    d_biases = [kernel.new_zeros(len(kernel), dtype=torch.float32) for kernel in kernels]
    grad = channels_last(grad.view(channels_first(outputs[-1]).shape))
    for start in range(0, len(image), CHUNK):
        rows = slice(start, start + CHUNK)
        inputs = [_pixels(image[rows], grad.dtype), *(output[rows] for output in outputs[:-1])]
        d_x: Tensor | None = grad[rows]
        for layer, d_bias, x, output in reversed(list(zip(layers, d_biases, inputs, outputs, strict=True))):
            assert d_x is not None
            d_y = elu_backward(d_x, output[rows])
            d_bias.add_(column_sums(d_y))
            d_x = layer.backward(d_y, x)
    d_kernels = [layer.kernel_gradient() for layer in layers]
    return [d for pair in zip(d_kernels, d_biases, strict=True) for d in pair]


def _pixels(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes to [-1, 1]."""
    return image[:, :SEEN, :SEEN].to(dtype).div_(127.5).sub_(1.0)


def _layer(kernel: Tensor, side: int, frames: int) -> "_Direct | _OverCells":
    """The quicker form of a layer whose output has ``side`` pixels along a side."""
    outputs, inputs = kernel.shape[:2]
    if side in TILES and fewer_products(4 * inputs, outputs, frames, kernel.dtype):
        return _OverCells(kernel, TILES[side])
    return _Direct(kernel, side)


class _OverCells:
    """A layer as a convolution with stride 1 over cells, with fewer products."""

    def __init__(self, kernel: Tensor, tile: int) -> None:
        self.tiled = TiledConvolution(cell_filter(kernel), tile)

    def convolve(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.tiled.convolve(to_cells(x), bias)

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor:
        return from_cells(self.tiled.backward(d_y, to_cells(x)))

    def kernel_gradient(self) -> Tensor:
        return from_cell_filter(self.tiled.weight_gradient()).contiguous()


class _Direct:
    """A layer as it is written, its gradients in quick forms and summed in fp32."""

    def __init__(self, kernel: Tensor, side: int) -> None:
        self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        self.side = side

    @cached_property
    def flat(self) -> Tensor:
        return self.kernel.permute(0, 2, 3, 1).reshape(len(self.kernel), -1)

    @cached_property
    def cells(self) -> Tensor:
        return to_cell_weight(self.kernel)

    @cached_property
    def d_flat(self) -> Tensor:
        return torch.zeros_like(self.flat, dtype=torch.float32)

    def convolve(self, x: Tensor, bias: Tensor) -> Tensor:
        return channels_last(functional.conv2d(channels_first(x), self.kernel, bias, stride=2))

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        """Gradient of the input, nothing of the first layer's; adds up that of the kernel."""
        if self.flat.shape[1] >= WIDE:
            add_product(self.d_flat, d_y.view(-1, d_y.shape[-1]).t(), patches(x, KERNEL))
        else:
            _, d_kernel, _ = aten.convolution_backward(
                *(channels_first(d_y), channels_first(x), self.kernel, None),
                *([2, 2], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]),
            )
            self.d_flat += d_kernel.permute(0, 2, 3, 1).reshape(self.flat.shape)
        return None if self.side == SIDES[0] else self._input_gradient(d_y)

    def _input_gradient(self, d_y: Tensor) -> Tensor:
        if self.side != SIDES[-1]:
            return from_cells(convolve_padded(d_y, self.cells))
        count, height, width, channels = d_y.shape
        pieces = d_y.view(-1, channels) @ self.flat
        return add_shifted(pieces.view(count, height, width, KERNEL, KERNEL, -1))

    def kernel_gradient(self) -> Tensor:
        return self.d_flat.view(len(self.flat), KERNEL, KERNEL, -1).permute(0, 3, 1, 2).contiguous()
