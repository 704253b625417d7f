"""The decoder's middle and last layers in forms that a CPU's matrix products are quick at.

Each is a transposed convolution with stride 2 and holds, in fp32, the sums of its gradients over the calls of
``backward``. Tensors have channels last, ``(n, h, w, c)``; where a layer gives *cells*, these are the 2x2
cells of its output. Wide layers have a second form in fp32, with fewer products (``wam.nn.winograd``).
"""

from typing import Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from wam.nn.strided import (
    add_product,
    add_shifted,
    cell_filter,
    column_sums,
    convolve_padded,
    from_cell_filter,
    from_cell_weight,
    from_cells,
    padded_gradients,
    patches,
    to_cell_weight,
    to_cells,
)
from wam.nn.winograd import TiledConvolution, fewer_products

SPREAD_TILE: Final = 5
"""The second layer's 5x5 pixels are one tile."""
DOUBLE_TILE: Final = 5
"""The third layer's 15x15 cells are nine tiles."""


class Layer(Protocol):
    """A transposed convolution, one form of it."""

    def decode(self, x: Tensor) -> Tensor:
        """Outputs."""

    def backward(self, grad: Tensor, x: Tensor) -> Tensor:
        """Gradient of the input from that of the outputs; adds up those of weight and bias."""

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Of weight and bias, in the layer's shapes."""


def spread_layer(weight: Tensor, bias: Tensor, frames: int) -> Layer:
    """The quicker form of a layer of few pixels and many channels, which gives pixels."""
    inputs, outputs = weight.shape[:2]
    tiled = fewer_products(inputs, 4 * outputs, frames, weight.dtype)
    return _SpreadTiled(weight, bias) if tiled else _Spread(weight, bias)


def cell_layer(weight: Tensor, bias: Tensor, frames: int, tile: int | None = None) -> Layer:
    """The quicker form of a layer with an even kernel, which gives cells, in tiles if ``tile`` says so."""
    inputs, outputs = weight.shape[:2]
    if tile and fewer_products(inputs, 4 * outputs, frames, weight.dtype):
        return _CellsTiled(weight, bias, tile)
    return _Cells(weight, bias)


class _Spread:
    """One product, and the sum of shifted pieces."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.shape, self.bias = weight.shape, bias
        self.weight = weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
        self.d_weight = torch.zeros_like(self.weight, dtype=torch.float32)
        self.d_bias = torch.zeros_like(bias, dtype=torch.float32)

    def decode(self, x: Tensor) -> Tensor:
        pieces = x.view(-1, x.shape[3]) @ self.weight
        return add_shifted(pieces.view(*x.shape[:3], *self.shape[2:], -1)).add_(self.bias)

    def backward(self, grad: Tensor, x: Tensor) -> Tensor:
        pieces = patches(grad, self.shape[-1])
        add_product(self.d_weight, x.view(len(pieces), -1).t(), pieces)
        self.d_bias.add_(column_sums(grad))
        return (pieces @ self.weight.t()).view(x.shape)

    def gradients(self) -> tuple[Tensor, Tensor]:
        return self.d_weight.view(len(self.d_weight), *self.shape[2:], -1).permute(0, 3, 1, 2), self.d_bias


class _SpreadTiled:
    """The transpose of a convolution over cells. Zeros fill up an odd kernel; what they give is cut off."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.kernel, self.bias = weight.shape[-1], bias
        self.tiled = TiledConvolution(cell_filter(_even(weight)), SPREAD_TILE)
        self.d_bias = torch.zeros_like(bias)

    def decode(self, x: Tensor) -> Tensor:
        side = 2 * (x.shape[1] - 1) + self.kernel
        return from_cells(self.tiled.transposed(x))[:, :side, :side].add(self.bias)

    def backward(self, grad: Tensor, x: Tensor) -> Tensor:
        self.d_bias.add_(column_sums(grad))
        filled = functional.pad(grad, (0, 0, *[0, self.kernel % 2] * 2))
        return self.tiled.transposed_backward(to_cells(filled), x)

    def gradients(self) -> tuple[Tensor, Tensor]:
        d_weight = from_cell_filter(self.tiled.weight_gradient())
        return d_weight[:, :, : self.kernel, : self.kernel].contiguous(), self.d_bias


class _Cells:
    """A convolution of half the kernel to four times the channels, one group for each pixel of a cell."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = to_cell_weight(weight), bias.repeat(4)
        self.d_weight = torch.zeros_like(self.weight, dtype=torch.float32)
        self.d_bias = torch.zeros_like(bias, dtype=torch.float32)

    def decode(self, x: Tensor) -> Tensor:
        return convolve_padded(x, self.weight, self.bias)

    def backward(self, grad: Tensor, x: Tensor) -> Tensor:
        d_x, d_weight = padded_gradients(grad, x, self.weight)
        self.d_weight.add_(d_weight)
        self.d_bias.add_(column_sums(grad).view(4, -1).sum(dim=0))
        return d_x

    def gradients(self) -> tuple[Tensor, Tensor]:
        return from_cell_weight(self.d_weight), self.d_bias


class _CellsTiled:
    """The same with fewer products."""

    def __init__(self, weight: Tensor, bias: Tensor, tile: int) -> None:
        cells = to_cell_weight(weight)
        self.tiled = TiledConvolution(cells, tile, padding=cells.shape[-1] - 1)
        self.bias, self.d_bias = bias.repeat(4), torch.zeros_like(bias)

    def decode(self, x: Tensor) -> Tensor:
        return self.tiled.convolve(x, self.bias)

    def backward(self, grad: Tensor, x: Tensor) -> Tensor:
        self.d_bias.add_(column_sums(grad).view(4, -1).sum(dim=0))
        return self.tiled.backward(grad, x)

    def gradients(self) -> tuple[Tensor, Tensor]:
        return from_cell_weight(self.tiled.weight_gradient()), self.d_bias


def _even(weight: Tensor) -> Tensor:
    """A kernel with as many rows and columns as cells have."""
    return functional.pad(weight, [0, weight.shape[-1] % 2] * 2)
