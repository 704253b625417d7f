import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from wam.nn import winograd
from wam.nn.strided import cell_filter, from_cell_filter, to_cells
from wam.nn.winograd import TiledConvolution, fewer_products, transforms
from wam.seeding import torch_generator


def rand(*shape):
    return torch.randn(*shape, generator=torch_generator(0, *shape), dtype=torch.float64)


def relative_error(got, want):
    return float((got - want).norm() / want.norm())


@settings(deadline=None)
@given(
    frames=st.integers(1, 5),
    tiles=st.integers(1, 3),
    kernel_and_tile=st.sampled_from([(2, 2), (2, 3), (3, 3), (3, 5)]),
    padding=st.integers(0, 2),
    rows=st.sampled_from([1, 7, winograd.ROWS]),
)
def test_outputs_and_gradients_equal_those_of_the_plain_convolution(
    frames, tiles, kernel_and_tile, padding, rows
):
    kernel, tile = kernel_and_tile
    side = tiles * tile + kernel - 1 - 2 * padding
    assume(side > 0)
    x, weight, bias = rand(frames, side, side, 4), rand(3, 4, kernel, kernel), rand(3)
    inputs = [x.requires_grad_(True), weight.requires_grad_(True)]
    want = functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=padding).permute(0, 2, 3, 1)
    grad = rand(*want.shape)
    d_x, d_weight = torch.autograd.grad(want, inputs, grad)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "ROWS", rows)
        tiled = TiledConvolution(weight.detach().float(), tile, padding)
        assert relative_error(tiled.convolve(x.detach().float(), bias.float()), want.detach()) < 1e-5
        for _ in range(2):
            assert relative_error(tiled.backward(grad.float(), x.detach().float()), d_x) < 1e-5
    assert relative_error(tiled.weight_gradient(), 2 * d_weight) < 1e-5


@pytest.mark.parametrize(("tile", "tiles", "padding"), [(5, 1, 0), (2, 3, 0), (2, 3, 1)])
def test_the_transpose_and_its_gradients_equal_those_of_the_plain_transposed_convolution(
    tile, tiles, padding
):
    y, weight = rand(4, tile * tiles, tile * tiles, 3), rand(3, 5, 3, 3)
    inputs = [y.requires_grad_(True), weight.requires_grad_(True)]
    want = functional.conv_transpose2d(y.permute(0, 3, 1, 2), weight, padding=padding).permute(0, 2, 3, 1)
    grad = rand(*want.shape)
    d_y, d_weight = torch.autograd.grad(want, inputs, grad)
    tiled = TiledConvolution(weight.detach().float(), tile, padding)
    assert relative_error(tiled.transposed(y.detach().float()), want.detach()) < 1e-5
    assert relative_error(tiled.transposed_backward(grad.float(), y.detach().float()), d_y) < 1e-5
    assert relative_error(tiled.weight_gradient(), d_weight) < 1e-5


@pytest.mark.parametrize(("tile", "taps"), [(2, 2), (3, 2), (3, 3), (5, 3)])
def test_products_at_the_points_are_a_filter(tile, taps):
    to_points, filter_to_points, from_points = (matrix.double() for matrix in transforms(tile, taps))
    side = tile + taps - 1
    seen, weight = rand(1, 1, side, side), rand(1, 1, taps, taps)
    got = from_points @ ((filter_to_points @ weight.flatten()) * (to_points @ seen.flatten()))
    want = functional.conv2d(seen, weight).flatten()
    assert len(to_points) == side**2
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-6)


def test_more_outputs_than_there_are_points_for_are_refused():
    with pytest.raises(ValueError, match="tiles of 6 outputs and 3 taps need more points"):
        transforms(6, 3)


def test_a_convolution_with_stride_2_is_one_with_stride_1_over_cells():
    x, kernel = rand(2, 8, 8, 3), rand(5, 3, 4, 4)
    want = functional.conv2d(x.permute(0, 3, 1, 2), kernel, stride=2)
    got = functional.conv2d(to_cells(x).permute(0, 3, 1, 2), cell_filter(kernel))
    torch.testing.assert_close(got, want)
    assert torch.equal(from_cell_filter(cell_filter(kernel)), kernel)


def test_narrow_layers_few_frames_and_bf16_take_plain_sums():
    assert fewer_products(192, 96, 64, torch.float32)
    assert not fewer_products(192, 96, 63, torch.float32)
    assert not fewer_products(48, 24, 400, torch.float32)
    assert not fewer_products(192, 96, 400, torch.bfloat16)


def test_tensors_that_tiles_do_not_fit_are_refused():
    tiled = TiledConvolution(torch.ones(3, 4, 3, 3), 2, padding=1)
    bias = torch.zeros(3)
    for x in (rand(1, 7, 7, 4), rand(1, 6, 8, 4), rand(1, 4, 6, 6).permute(0, 2, 3, 1)):
        with pytest.raises(ValueError, match="tiles of 2x2 do not make up"):
            tiled.convolve(x.float(), bias)
    x, y = rand(2, 4, 4, 4).float(), rand(2, 6, 6, 3).float()
    with pytest.raises(ValueError, match=r"6x6 outputs of 6x6 inputs.*padding 1"):
        tiled.backward(y, x)
    with pytest.raises(ValueError, match=r"4x4 outputs of 4x4 inputs.*padding 1"):
        tiled.transposed_backward(x, y)
    with pytest.raises(ValueError, match="one tap"):
        TiledConvolution(torch.ones(3, 4, 1, 1), 2)
