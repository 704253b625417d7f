"""Convolutions with stride 2 in the forms that a CPU's matrix products are quick at.

Tensors have channels last, ``(n, h, w, c)``. A *cell* is a 2x2 square of pixels whose channels lie side by
side: row, column, channel.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

aten = torch.ops.aten

NARROW = 64
"""Channels below which oneDNN's gradients in bf16 are slow: 12 are, 192 are not."""


def quick_precision(x: Tensor) -> torch.dtype | None:
    """What the forms made for CPUs compute in where ``x`` is computed with; None where they do not apply.

    Under autocast to bf16 they have bf16 activations and products, and sums of gradients in fp32.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
        return None
    if not torch.is_autocast_enabled("cpu"):
        return torch.float32 if x.dtype == torch.float32 else None
    return torch.bfloat16 if torch.get_autocast_dtype("cpu") == torch.bfloat16 else None


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


def padded_gradients(
    grad: Float[Tensor, "n H W o"], x: Float[Tensor, "n h w c"], weight: Float[Tensor, "o c k k"]
) -> tuple[Float[Tensor, "n h w c"], Float[Tensor, "o c k k"]]:
    """Gradients of the input and the weight of :func:`convolve_padded`, from that of its output.

    Every pixel of the input sees ``k x k`` of the output. In bf16 and with few channels the two products over
    these are three times as quick as what oneDNN does.
    """
    kernel = weight.shape[-1]
    if weight.dtype == torch.bfloat16 and len(weight) < NARROW:
        seen = patches(grad, kernel, stride=1)
        turned = weight.flip(2, 3).permute(2, 3, 0, 1)
        d_turned = seen.t() @ x.reshape(len(seen), -1)
        d_x = (seen @ turned.reshape(seen.shape[1], -1)).view(x.shape)
        return d_x, d_turned.view(turned.shape).permute(2, 3, 0, 1).flip(2, 3)
    places = [1, 1], [kernel - 1] * 2, [1, 1], False, [0, 0], 1, [True, True, False]
    d_first, d_weight, _ = aten.convolution_backward(
        channels_first(grad), channels_first(x), weight, None, *places
    )
    return channels_last(d_first), d_weight


def column_sums(x: Float[Tensor, "*rows c"]) -> Float[Tensor, " c"]:
    """Sum over all axes but the last."""
    flat = x.reshape(-1, x.shape[-1])
    return flat.new_ones(len(flat)) @ flat  # several times quicker than a sum over rows


def add_product(total: Float[Tensor, "a c"], x: Float[Tensor, "a b"], y: Float[Tensor, "b c"]) -> None:
    """Add ``x @ y`` to a sum that may be more precise than the two."""
    if total.dtype == x.dtype:
        total.addmm_(x, y)
    else:
        total += x @ y


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


def cell_filter(kernel: Float[Tensor, "o c k k"]) -> Float[Tensor, "o c4 half half"]:
    """The kernel of a convolution with stride 2 as that of one with stride 1 over 2x2 cells."""
    outputs, inputs, side, _ = kernel.shape
    half = side // 2
    taps = kernel.view(outputs, inputs, half, 2, half, 2).permute(0, 3, 5, 1, 2, 4)
    return taps.reshape(outputs, 4 * inputs, half, half)


def from_cell_filter(weight: Float[Tensor, "o c4 half half"]) -> Float[Tensor, "o c k k"]:
    """Undo ``cell_filter``."""
    outputs, channels, half, _ = weight.shape
    taps = weight.reshape(outputs, 2, 2, channels // 4, half, half).permute(0, 3, 4, 1, 5, 2)
    return taps.reshape(outputs, channels // 4, 2 * half, 2 * half)


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


def patches(x: Float[Tensor, "n H W c"], kernel: int, stride: int = 2) -> Float[Tensor, "nhw kkc"]:
    """What each placement of a kernel sees, one row each."""
    count, height, width, channels = x.shape
    rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    across, down, along, _ = x.stride()
    size = (count, rows, columns, kernel, kernel * channels)
    seen = x.as_strided(size, (across, stride * down, stride * along, down, 1))
    return seen.reshape(count * rows * columns, -1)
