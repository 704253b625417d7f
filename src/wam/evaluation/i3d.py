"""I3D on RGB (Carreira and Zisserman 2017), the network behind the Frechet video distance.

Modules are named as in the widely used PyTorch conversion of DeepMind's weights, whose state dict it loads.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 400
"""Of Kinetics."""
SIDE = 224
"""Height and width in pixels that it was trained on."""
LEAST_FRAMES = 9
"""Shorter videos leave fewer than the two time steps that its last average takes."""

Sizes = tuple[int, int, int]


class Unit3D(nn.Module):
    """Convolution with TensorFlow's "same" padding, then batch norm and ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Sizes, stride: int = 1, *, last: bool = False
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=last)
        self.bn = None if last else nn.BatchNorm3d(outputs, eps=0.001)

    def forward(self, video: Tensor) -> Tensor:
        """``(N, c, T, h, w)`` to the same with other channels."""
        kernel, stride = self.conv3d.kernel_size, self.conv3d.stride
        x: Tensor = self.conv3d(_pad_same(video, kernel, stride))
        return x if self.bn is None else functional.relu(self.bn(x))


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        first, middle_in, middle, small_in, small, pooled = widths
        self.b0 = Unit3D(inputs, first, (1, 1, 1))
        self.b1a = Unit3D(inputs, middle_in, (1, 1, 1))
        self.b1b = Unit3D(middle_in, middle, (3, 3, 3))
        self.b2a = Unit3D(inputs, small_in, (1, 1, 1))
        self.b2b = Unit3D(small_in, small, (3, 3, 3))
        self.b3b = Unit3D(inputs, pooled, (1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """All branches, channels joined."""
        pooled = _pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class I3D(nn.Module):
    """The network; 12.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit3D(3, 64, (7, 7, 7), 2)
        self.Conv3d_2b_1x1 = Unit3D(64, 64, (1, 1, 1))
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        self.Mixed_3b = Inception(192, (64, 96, 128, 16, 32, 32))
        self.Mixed_3c = Inception(256, (128, 128, 192, 32, 96, 64))
        self.Mixed_4b = Inception(480, (192, 96, 208, 16, 48, 64))
        self.Mixed_4c = Inception(512, (160, 112, 224, 24, 64, 64))
        self.Mixed_4d = Inception(512, (128, 128, 256, 24, 64, 64))
        self.Mixed_4e = Inception(512, (112, 144, 288, 32, 64, 64))
        self.Mixed_4f = Inception(528, (256, 160, 320, 32, 128, 128))
        self.Mixed_5b = Inception(832, (256, 160, 320, 32, 128, 128))
        self.Mixed_5c = Inception(832, (384, 192, 384, 48, 128, 128))
        self.logits = Unit3D(1024, CLASSES, (1, 1, 1), last=True)

    def forward(self, video: Float[Tensor, "N 3 T h w"]) -> Float[Tensor, "N classes"]:
        """Logits of videos in [-1, 1], resized to 224 x 224 and averaged over time.

        Raises:
            ValueError: If a video is too short.
        """
        if video.shape[2] < LEAST_FRAMES:
            raise ValueError(f"I3D needs videos of {LEAST_FRAMES} frames or more, got {video.shape[2]}")
        size = (video.shape[2], SIDE, SIDE)
        x = functional.interpolate(video, size=size, mode="trilinear", align_corners=False)
        x = _pool(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = _pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        x = _pool(self.Mixed_3c(self.Mixed_3b(x)), (3, 3, 3), (2, 2, 2))
        for block in (self.Mixed_4b, self.Mixed_4c, self.Mixed_4d, self.Mixed_4e, self.Mixed_4f):
            x = block(x)
        x = self.Mixed_5c(self.Mixed_5b(_pool(x, (2, 2, 2), (2, 2, 2))))
        x = self.logits(functional.avg_pool3d(x, (2, 7, 7), stride=1))
        logits: Tensor = x.flatten(start_dim=2).mean(dim=2)
        return logits


def _pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    pads: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        extra = max(k - s, 0) if size % s == 0 else max(k - size % s, 0)
        pads += [extra // 2, extra - extra // 2]
    return functional.pad(x, pads)


def _pool(x: Tensor, kernel: Sizes, stride: Sizes) -> Tensor:
    return functional.max_pool3d(_pad_same(x, kernel, stride), kernel, stride)
