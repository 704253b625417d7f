import copy

import pytest
import torch

from wam.nn import fused_encoder, winograd
from wam.nn.conv import ConvEncoder, normalise_image
from wam.nn.fused_encoder import encode_bytes
from wam.nn.init import initialise_
from wam.seeding import torch_generator


def random_images(count):
    return torch.randint(0, 256, (count, 64, 64, 3), dtype=torch.uint8, generator=torch_generator(1))


def relative_error(got, want):
    return float(((got - want).norm() / want.norm()).detach())


@pytest.mark.parametrize(("least", "form"), [(1, "_OverCells"), (winograd.WIDE, "_Direct")])
@pytest.mark.parametrize(("chunk", "wide"), [(2, 10_000), (64, 1), (64, fused_encoder.WIDE)])
def test_features_and_gradients_equal_those_of_the_plain_encoder(monkeypatch, chunk, wide, least, form):
    monkeypatch.setattr(winograd, "WIDE", least)
    monkeypatch.setattr(winograd, "MANY", 1)
    monkeypatch.setattr(fused_encoder, "CHUNK", chunk)
    monkeypatch.setattr(fused_encoder, "WIDE", wide)
    encoder = ConvEncoder(3)
    initialise_(encoder, 0)
    for bias in encoder.weights()[1::2]:
        bias.data.normal_(generator=torch_generator(2))
    images = random_images(5)
    assert type(fused_encoder._layer(encoder.weights()[2], 14, len(images))).__name__ == form
    plain, fused = encoder(normalise_image(images)), encode_bytes(images, encoder.weights())
    assert relative_error(fused, plain) < 1e-5
    grad = torch.randn(plain.shape, generator=torch_generator(3))
    wanted = torch.autograd.grad(plain, encoder.weights(), grad)
    for got, want in zip(torch.autograd.grad(fused, encoder.weights(), grad), wanted, strict=True):
        assert got.shape == want.shape
        assert relative_error(got, want) < 1e-5


def test_the_edges_left_out_are_seen_by_nobody():
    encoder = ConvEncoder(1)
    initialise_(encoder, 0)
    images = random_images(1)
    other = images.clone()
    other[:, fused_encoder.SEEN :] = 0
    other[:, :, fused_encoder.SEEN :] = 0
    plain = encoder(normalise_image(images))
    torch.testing.assert_close(encoder(normalise_image(other)), plain, atol=1e-6, rtol=1e-6)


def test_published_widths_take_fewer_products_and_few_frames_and_bases_width_do_not():
    def forms(depth, frames, dtype=torch.float32):
        kernels = ConvEncoder(depth).weights()[::2]
        layers = zip(kernels, fused_encoder.SIDES, strict=True)
        return [type(fused_encoder._layer(k.to(dtype), side, frames)).__name__ for k, side in layers]

    assert forms(48, 64) == ["_Direct", "_OverCells", "_OverCells", "_Direct"]
    assert forms(48, 63) == forms(48, 64, torch.bfloat16) == forms(12, 400) == ["_Direct"] * 4


def test_gradients_at_the_published_width_are_those_of_double_precision():
    encoder = ConvEncoder(48)
    initialise_(encoder, 0)
    images = random_images(64)
    plain = copy.deepcopy(encoder).double()
    want = plain(normalise_image(images).double())
    got = encode_bytes(images, encoder.weights())
    grad = torch.randn(got.shape, generator=torch_generator(3))
    wanted = torch.autograd.grad(want, plain.weights(), grad.double())
    for one, other in zip(torch.autograd.grad(got, encoder.weights(), grad), wanted, strict=True):
        assert relative_error(one, other) < 1e-5


def test_going_back_under_autocast_changes_nothing(monkeypatch):
    monkeypatch.setattr(winograd, "WIDE", 1)
    monkeypatch.setattr(winograd, "MANY", 1)
    encoder = ConvEncoder(2)
    images = random_images(3)
    grads = []
    for enabled in (False, True):
        encoded = encode_bytes(images, encoder.weights())
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            grads.append(torch.autograd.grad(encoded.sum(), encoder.weights()))
    for one, other in zip(*grads, strict=True):
        assert torch.equal(one, other)
