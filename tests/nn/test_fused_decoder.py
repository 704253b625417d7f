import pytest
import torch

from wam.nn import fused_decoder, winograd
from wam.nn.conv import ConvDecoder, normalise_image
from wam.nn.fused_decoder import decoded_error, image_cells
from wam.nn.init import initialise_
from wam.nn.strided import to_cells
from wam.seeding import torch_generator


def rand(*shape):
    return torch.randn(*shape, generator=torch_generator(0, *shape))


def random_images(count):
    return torch.randint(0, 256, (count, 64, 64, 3), dtype=torch.uint8, generator=torch_generator(1))


def relative_error(got, want):
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize(("wide", "form"), [(1, "_SpreadTiled"), (winograd.WIDE, "_Spread")])
@pytest.mark.parametrize("chunk", [2, 64])
def test_error_and_gradients_equal_those_of_the_plain_decoder(monkeypatch, chunk, wide, form):
    monkeypatch.setattr(winograd, "WIDE", wide)
    monkeypatch.setattr(winograd, "MANY", 1)
    monkeypatch.setattr(fused_decoder, "CHUNK", chunk)
    decoder = ConvDecoder(3)
    initialise_(decoder, 0)
    for bias in decoder.weights()[1::2]:
        bias.data.normal_(generator=torch_generator(2))
    x, images = rand(5, 96).requires_grad_(True), random_images(5)
    inputs = [x, *decoder.weights()]
    assert type(fused_decoder._Stack(decoder.weights(), len(x)).spread).__name__ == form
    plain = 0.5 * (decoder(x) - normalise_image(images)).square().sum()
    fused = decoded_error(x, images, decoder.weights())
    assert fused.item() == pytest.approx(plain.item(), rel=1e-5)
    wanted = torch.autograd.grad(3.0 * plain, inputs)
    for got, want in zip(torch.autograd.grad(3.0 * fused, inputs), wanted, strict=True):
        assert got.shape == want.shape
        assert relative_error(got, want) < 1e-5


@pytest.mark.parametrize("frozen", [True, False])
def test_without_gradients_only_the_error_is_computed(monkeypatch, frozen):
    monkeypatch.setattr(fused_decoder._Stack, "backward", None)
    decoder = ConvDecoder(1).requires_grad_(not frozen)
    with torch.set_grad_enabled(frozen):
        error = decoded_error(rand(2, 32), random_images(2), decoder.weights())
    assert not error.requires_grad


def test_published_widths_take_fewer_products_and_few_frames_and_bases_width_do_not():
    def forms(depth, frames, dtype=torch.float32):
        weights = tuple(weight.to(dtype) for weight in ConvDecoder(depth).weights())
        stack = fused_decoder._Stack(weights, frames)
        return [type(layer).__name__ for layer in (stack.spread, stack.double, stack.last)]

    assert forms(48, 64) == ["_SpreadTiled", "_CellsTiled", "_Cells"]
    assert forms(48, 63) == forms(48, 64, torch.bfloat16) == forms(12, 400) == ["_Spread", "_Cells", "_Cells"]


def test_recorded_images_are_brought_to_cells():
    images = random_images(3)
    assert torch.equal(image_cells(images), to_cells(images))
