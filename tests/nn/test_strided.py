import torch
from torch.nn import functional

from wam.nn.strided import add_shifted, from_cell_weight, from_cells, patches, to_cell_weight, to_cells
from wam.seeding import torch_generator


def rand(*shape):
    return torch.randn(*shape, generator=torch_generator(0, *shape))


def test_cells_hold_the_pixels_of_two_by_two_squares():
    x = torch.arange(2 * 4 * 6 * 3.0).view(2, 4, 6, 3)
    cells = to_cells(x)
    assert torch.equal(cells[1, 1, 2], x[1, 2:4, 4:6].flatten())
    assert torch.equal(from_cells(cells), x)


def test_cell_weights_are_those_of_the_transposed_convolution():
    weight, x = rand(5, 2, 6, 6), rand(3, 5, 4, 4)
    cell = to_cell_weight(weight)
    assert torch.equal(from_cell_weight(cell), weight)
    out = functional.conv2d(x, cell, padding=2).permute(0, 2, 3, 1)
    want = functional.conv_transpose2d(x, weight, stride=2).permute(0, 2, 3, 1)
    torch.testing.assert_close(from_cells(out.contiguous()), want, atol=1e-5, rtol=1e-5)


def test_patches_are_what_a_strided_kernel_sees():
    x = rand(2, 7, 9, 3)
    rows = patches(x, 5).view(2, 2, 3, 5, 5, 3)
    assert torch.equal(rows[1, 1, 2], x[1, 2:7, 4:9])


def test_shifted_pieces_add_up_to_the_transposed_convolution():
    weight, x = rand(4, 2, 5, 5), rand(3, 4, 3, 2)
    flat = weight.permute(0, 2, 3, 1).reshape(4, -1)
    pieces = (x.permute(0, 2, 3, 1).reshape(-1, 4) @ flat).view(3, 3, 2, 5, 5, 2)
    want = functional.conv_transpose2d(x, weight, stride=2).permute(0, 2, 3, 1)
    torch.testing.assert_close(add_shifted(pieces), want, atol=1e-5, rtol=1e-5)
