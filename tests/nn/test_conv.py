import torch
from torch.nn import functional

from wam.nn.conv import ConvDecoder, ConvEncoder, denormalise_image, normalise_image
from wam.nn.init import initialise_
from wam.seeding import torch_generator


def rand(*shape):
    return torch.randn(*shape, generator=torch_generator(0, *shape))


def plain_decoder(decoder, x):
    x = x[:, :, None, None]
    for layer in decoder.layers[:-1]:
        x = functional.elu(layer(x))
    return decoder.layers[-1](x)


def gradients(output, inputs):
    weight = torch.randn(output.shape, generator=torch_generator(1))
    return torch.autograd.grad((output * weight).sum(), inputs)


def test_published_parameter_counts():
    encoder, decoder = ConvEncoder(48), ConvDecoder(48)
    assert sum(p.numel() for p in encoder.parameters()) == 1_551_312
    assert sum(p.numel() for p in decoder.parameters()) == 8_005_011
    assert encoder.outputs == decoder.inputs == 1536


def test_encoder_is_four_convolutions_in_channel_order():
    encoder = ConvEncoder(2)
    x = rand(3, 3, 64, 64)
    want = x
    for layer in encoder.layers:
        want = functional.elu(layer(want))
    assert want.shape == (3, 16, 2, 2)
    torch.testing.assert_close(encoder(x), want.flatten(start_dim=1), atol=1e-5, rtol=1e-5)


def test_decoder_equals_the_plain_layers_with_gradients():
    decoder = ConvDecoder(2)
    initialise_(decoder, 0)
    x = rand(3, 64).requires_grad_(True)
    inputs = [x, *decoder.parameters()]
    fast, slow = decoder(x), plain_decoder(decoder, x)
    assert fast.shape == (3, 3, 64, 64)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    for got, want in zip(gradients(fast, inputs), gradients(slow, inputs), strict=True):
        torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-4)


def test_images_round_trip_through_their_normalised_form():
    image = torch.arange(256, dtype=torch.uint8).repeat(48).reshape(1, 64, 64, 3)
    normalised = normalise_image(image)
    assert normalised.shape == (1, 3, 64, 64)
    assert (normalised.min(), normalised.max()) == (-1.0, 1.0)
    assert torch.equal(denormalise_image(normalised), image)


def test_values_outside_the_range_are_clipped_to_bytes():
    image = torch.tensor([-3.0, 3.0, 0.0]).expand(1, 4, 3).movedim(-1, 0)[:, None]
    assert denormalise_image(image.movedim(0, 1))[0, 0, 0].tolist() == [0, 255, 128]
