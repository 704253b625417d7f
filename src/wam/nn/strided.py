"""Convolutions with stride 2 in the forms that a CPU's matrix products are quick at.

Tensors have channels last, ``(n, h, w, c)``. A *cell* is a 2x2 square of pixels whose channels lie side by
side: row, column, channel.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def in_one_go(x: Tensor) -> bool:
    """Whether the forms made for CPUs in single precision apply where ``x`` is computed with."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def channels_first(x: Float[Tensor, "n h w c"]) -> Float[Tensor, "n c h w"]:
    """A view in the order that the layers of PyTorch take."""
    return x.permute(0, 3, 1, 2)


def channels_last(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w c"]:
    """The order used here; no copy where the memory has it already."""
    return x.permute(0, 2, 3, 1).contiguous()


def convolve_padded(
    x: Float[Tensor, "n h w c"], weight: Float[Tensor, "o c k k"], bias: Tensor | None = None
) -> Float[Tensor, "n H W o"]:
    """A convolution over all placements that touch ``x``: ``k - 1`` zeros on each side."""
    return channels_last(functional.conv2d(channels_first(x), weight, bias, padding=weight.shape[-1] - 1))


def column_sums(x: Float[Tensor, "*rows c"]) -> Float[Tensor, " c"]:
    """Sum over all axes but the last."""
    flat = x.reshape(-1, x.shape[-1])
    return flat.new_ones(len(flat)) @ flat  # several times quicker than a sum over rows


def to_cell_weight(weight: Float[Tensor, "i o k k"]) -> Float[Tensor, "cells i half half"]:
    """The weight of a transposed convolution with stride 2 as that of a convolution to 2x2 cells.

    Pixel ``2m + s`` of the output gets input ``i`` through tap ``2(m - i) + s``: for each ``s`` the taps of
    its parity, in reverse.
    """
    inputs, outputs, kernel, _ = weight.shape
    half = kernel // 2
    taps = weight.view(inputs, outputs, half, 2, half, 2).flip(2, 4).permute(3, 5, 1, 0, 2, 4)
    return taps.reshape(4 * outputs, inputs, half, half).contiguous(memory_format=torch.channels_last)


def from_cell_weight(weight: Float[Tensor, "cells i half half"]) -> Float[Tensor, "i o k k"]:
    """Undo ``to_cell_weight``."""
    outputs, inputs, half, _ = weight.shape
    taps = weight.reshape(2, 2, outputs // 4, inputs, half, half).permute(3, 2, 4, 0, 5, 1).flip(2, 4)
    return taps.reshape(inputs, outputs // 4, 2 * half, 2 * half)


def from_cells(x: Float[Tensor, "n h w c4"]) -> Float[Tensor, "n H W c"]:
    """Put the pixels of each 2x2 cell in their places."""
    count, height, width, channels = x.shape
    halves = x.view(count, height, width, 2, channels // 2).transpose(2, 3)
    return halves.reshape(count, 2 * height, 2 * width, channels // 4)


def to_cells(x: Float[Tensor, "n H W c"]) -> Float[Tensor, "n h w c4"]:
    """Undo ``from_cells``."""
    count, height, width, channels = x.shape
    halves = x.view(count, height // 2, 2, width // 2, 2 * channels).transpose(2, 3)
    return halves.reshape(count, height // 2, width // 2, 4 * channels)


def add_shifted(pieces: Float[Tensor, "n h w k k c"]) -> Float[Tensor, "n H W c"]:
    """Add a ``k x k`` piece per pixel at twice the pixel's place: the outcome of a transposed convolution."""
    count, height, width, kernel, _, channels = pieces.shape
    out = pieces.new_zeros(count, 2 * height + kernel - 2, 2 * width + kernel - 2, channels)
    for y in range(kernel):
        for x in range(kernel):
            out[:, y : y + 2 * height - 1 : 2, x : x + 2 * width - 1 : 2] += pieces[:, :, :, y, x]
    return out


def patches(x: Float[Tensor, "n H W c"], kernel: int) -> Float[Tensor, "nhw kkc"]:
    """What each placement of a kernel with stride 2 sees, one row each."""
    count, height, width, channels = x.shape
    rows, columns = (height - kernel) // 2 + 1, (width - kernel) // 2 + 1
    across, down, along, _ = x.stride()
    size = (count, rows, columns, kernel, kernel * channels)
    seen = x.as_strided(size, (across, 2 * down, 2 * along, down, 1))
    return seen.reshape(count * rows * columns, -1)
