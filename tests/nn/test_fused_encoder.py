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


@pytest.mark.parametrize("worthwhile", [1, winograd.WORTHWHILE])
@pytest.mark.parametrize(("chunk", "wide"), [(2, 10_000), (64, 1), (64, fused_encoder.WIDE)])
def test_features_and_gradients_equal_those_of_the_plain_encoder(monkeypatch, chunk, wide, worthwhile):
    monkeypatch.setattr(winograd, "WORTHWHILE", worthwhile)
    monkeypatch.setattr(winograd, "FEWEST", 1)
    monkeypatch.setattr(fused_encoder, "CHUNK", chunk)
    monkeypatch.setattr(fused_encoder, "WIDE", wide)
    encoder = ConvEncoder(3)
    initialise_(encoder, 0)
    for bias in encoder.weights()[1::2]:
        bias.data.normal_(generator=torch_generator(2))
    images = random_images(5)
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
