"""The camera encoder from bytes to features with a backward pass of its own, for CPUs.

The layers are those of ``ConvEncoder``, which this must equal. Frames are taken a few at a time, so that
pixels are turned to numbers, convolved and passed through ELU while they are in the cache; edges that no
later layer looks at are left out (of 64 pixels 62 are seen, of the first layer's 31 columns 30). Gradients of
a layer's input are convolutions to 2x2 cells; those of wide kernels are single products.
"""

from typing import Any, Final

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from wam.nn.elu import elu_, elu_backward
from wam.nn.strided import (
    add_product,
    add_shifted,
    channels_first,
    channels_last,
    column_sums,
    convolve_padded,
    from_cells,
    patches,
    to_cell_weight,
)

aten = torch.ops.aten

CHUNK = 64
"""Frames taken at once."""
SEEN: Final = 62
"""Pixels along a side that reach the last layer."""
SIDES: Final = (30, 14, 6, 2)
"""Of each layer's output."""
KERNEL: Final = 4
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
        ready = [kernel.contiguous(memory_format=torch.channels_last) for kernel in kernels]
        for start in range(0, len(image), CHUNK):
            rows = slice(start, start + CHUNK)
            x = _pixels(image[rows], biases[0].dtype)
            for kernel, bias, output in zip(ready, biases, outputs, strict=True):
                y = functional.conv2d(channels_first(x), kernel, bias, stride=2)
                x = elu_(channels_last(y), out=output[rows])
        ctx.save_for_backward(image, *kernels, *outputs)
        return channels_first(outputs[-1]).flatten(start_dim=1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        image, *tensors = ctx.saved_tensors
        layers = _Layers(tensors[:4])
        outputs = tensors[4:]
        last = outputs[-1]
        grad = channels_last(grad.view(channels_first(last).shape))
        for start in range(0, len(image), CHUNK):
            rows = slice(start, start + CHUNK)
            inputs = [_pixels(image[rows], grad.dtype), *(output[rows] for output in outputs[:-1])]
            d_y = grad[rows]
            for index in reversed(range(len(outputs))):
                d_y = elu_backward(d_y, outputs[index][rows])
                layers.add_gradients(index, d_y, inputs[index])
                if index > 0:
                    d_y = layers.input_gradient(index, d_y)
        return None, None, *layers.gradients()


def _pixels(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes to [-1, 1]."""
    return image[:, :SEEN, :SEEN].to(dtype).div_(127.5).sub_(1.0)


class _Layers:
    """The kernels in the forms that the backward pass takes, and the sums of the gradients, in fp32."""

    def __init__(self, kernels: list[Tensor]) -> None:
        self.kernels = kernels
        self.flat = [kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1) for kernel in kernels]
        self.cells = [to_cell_weight(kernel) for kernel in kernels[1:-1]]
        self.d_flat = [torch.zeros_like(flat, dtype=torch.float32) for flat in self.flat]
        self.d_bias = [kernel.new_zeros(len(kernel), dtype=torch.float32) for kernel in kernels]

    def add_gradients(self, index: int, d_y: Tensor, x: Tensor) -> None:
        """Add those of a layer's kernel and bias."""
        self.d_bias[index] += column_sums(d_y)
        if self.flat[index].shape[1] >= WIDE:
            add_product(self.d_flat[index], d_y.view(-1, d_y.shape[-1]).t(), patches(x, KERNEL))
            return
        kernel = self.kernels[index]
        _, d_kernel, _ = aten.convolution_backward(
            *(channels_first(d_y), channels_first(x), kernel, None),
            *([2, 2], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]),
        )
        self.d_flat[index] += d_kernel.permute(0, 2, 3, 1).reshape(len(kernel), -1)

    def input_gradient(self, index: int, d_y: Tensor) -> Tensor:
        """Of a layer's input."""
        if index < len(self.kernels) - 1:
            return from_cells(convolve_padded(d_y, self.cells[index - 1]))
        count, height, width, channels = d_y.shape
        pieces = d_y.view(-1, channels) @ self.flat[index]
        return add_shifted(pieces.view(count, height, width, KERNEL, KERNEL, -1))

    def gradients(self) -> list[Tensor]:
        """Of kernels and biases, in turn."""
        shaped = [d.view(len(d), KERNEL, KERNEL, -1).permute(0, 3, 1, 2).contiguous() for d in self.d_flat]
        return [d for pair in zip(shaped, self.d_bias, strict=True) for d in pair]
