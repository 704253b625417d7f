"""The published convolutional stacks for 64x64 images (docs/published.md, world model), at any width."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

ENCODER_KERNEL = 4
DECODER_KERNELS = (5, 5, 6, 6)
WIDTH_PER_DEPTH = 32
"""Encoder outputs and decoder inputs per unit of depth: 8 x depth channels on a 2x2 grid."""


def normalise_image(image: UInt8[Tensor, "*batch h w c"]) -> Float[Tensor, "*batch c h w"]:
    """Bytes to [-1, 1], channels first (stored channels last, which the convolutions prefer)."""
    return image.movedim(-1, -3).to(torch.float32).div_(127.5).sub_(1.0)


def denormalise_image(image: Float[Tensor, "*batch c h w"]) -> UInt8[Tensor, "*batch h w c"]:
    """[-1, 1] to rounded bytes, clipped, channels last."""
    return image.detach().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8).movedim(-3, -1)


class ConvEncoder(nn.Module):
    """Four strided convolutions, 64 -> 31 -> 14 -> 6 -> 2, with ELU after each.

    Args:
        depth: Channels of the first layer; later layers have 2, 4 and 8 times as many. Published 48.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        channels = (3, depth, 2 * depth, 4 * depth, 8 * depth)
        self.layers = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], ENCODER_KERNEL, stride=2) for i in range(4)
        )
        self.outputs = WIDTH_PER_DEPTH * depth

    def forward(self, image: Float[Tensor, "N 3 64 64"]) -> Float[Tensor, "N outputs"]:
        """Encode images in [-1, 1]."""
        x = image.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = functional.elu_(layer(x))
        return x.flatten(start_dim=1)

    def weights(self) -> tuple[Tensor, ...]:
        """Weight and bias of each layer, in turn."""
        return tuple(p for layer in self.layers for p in layer.parameters())


class ConvDecoder(nn.Module):
    """Four transposed convolutions, 1 -> 5 -> 13 -> 30 -> 64, with ELU between and none at the end.

    Args:
        depth: Channels before the last layer; earlier layers have 2 and 4 times as many, the input
            32 times. Published 48.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.inputs = WIDTH_PER_DEPTH * depth
        channels = (self.inputs, 4 * depth, 2 * depth, depth, 3)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(channels[i], channels[i + 1], kernel, stride=2)
            for i, kernel in enumerate(DECODER_KERNELS)
        )

    def forward(self, x: Float[Tensor, "N inputs"]) -> Float[Tensor, "N 3 64 64"]:
        """Decode to images around [-1, 1] (unbounded)."""
        first, *rest = self.layers
        x = functional.elu_(_unfold_point(x, first))
        for layer in rest[:-1]:
            x = functional.elu_(layer(x))
        y: Tensor = rest[-1](x)
        return y

    def weights(self) -> tuple[Tensor, ...]:
        """Weight and bias of each layer, in turn."""
        return tuple(p for layer in self.layers for p in layer.parameters())


def _unfold_point(x: Tensor, layer: nn.Module) -> Tensor:
    """A transposed convolution of a 1x1 grid, as the matrix product that it is (faster)."""
    assert isinstance(layer, nn.ConvTranspose2d)
    inputs, outputs, height, width = layer.weight.shape
    weight = layer.weight.permute(0, 2, 3, 1).reshape(inputs, height * width * outputs)
    grid = (x @ weight).view(-1, height, width, outputs)
    assert layer.bias is not None
    return (grid + layer.bias).permute(0, 3, 1, 2)
