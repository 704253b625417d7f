"""Where the colours of an image are: numbers in which small things count as much as large ones.

Half the summed squared error of an image hardly changes when a button of a dozen pixels is left out, and a
short training does leave it out (docs/learning/world-models.md). The mass and the centre of each colour of a
palette say as much about a button as about a table. They need no label: palette and moments come from the
images alone. They are a target of training (``color_decoder``), and may be part of the embedding, measured on
every frame as proprioception is (``encoder.measures_colors``). Not part of the published models.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

SHIFT = 4
"""Bits of each channel that are dropped before its colour is looked up."""
LEVELS = 256 >> SHIFT
BITS = 20
"""Room for the sum of the columns of 64 x 64 pixels."""
COARSE_LEVELS = 8
"""Steps of a channel while the palette is sought."""
RAREST = 2e-4
"""Share of all pixels below which a colour is an edge or noise, not a thing."""
SEEN_PIXELS = 3
"""Pixels of a colour from which its centre means something."""
SAMPLED_FRAMES = 1500
"""Frames that palette and scales are found on, at least; there may be up to twice as many."""
MOMENTS = 3
"""Of each colour: square root of its pixels, column and row of their centre."""


def find_palette(images: UInt8[np.ndarray, "N H W 3"], colors: int) -> Float32[np.ndarray, "K 3"]:
    """Colours that lie far apart, rare ones included: each next one is the farthest from those before it.

    Distance is weighted with the fourth root of how often a colour occurs, so that a button is found and an
    edge is not; ten steps of k-means then move every colour to the middle of what is nearest to it.

    Args:
        images: Frames to find them in, bytes.
        colors: How many; there may be fewer in the images, then some repeat.

    Returns:
        Red, green and blue from 0 to 255.
    """
    pixels = images.reshape(-1, 3)
    width = 256 // COARSE_LEVELS
    coarse = (pixels // width).astype(np.int64) @ np.array([COARSE_LEVELS**2, COARSE_LEVELS, 1])
    count = np.bincount(coarse, minlength=COARSE_LEVELS**3)
    kept = np.flatnonzero(count >= RAREST * len(pixels))
    sums = [np.bincount(coarse, pixels[:, c], minlength=len(count))[kept] for c in range(3)]
    found = np.stack(sums, axis=1) / count[kept, None]
    weight = count[kept] ** 0.25
    palette = found[[weight.argmax()]]
    for _ in range(colors - 1):
        palette = np.vstack([palette, found[(_distance(found, palette).min(axis=1) * weight).argmax()]])
    for _ in range(10):
        nearest = _distance(found, palette).argmin(axis=1)
        for k in np.unique(nearest):
            palette[k] = np.average(found[nearest == k], axis=0, weights=weight[nearest == k])
    return palette.astype(np.float32)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared: np.ndarray = np.square(a[:, None] - b).sum(axis=-1)
    return squared


class ColorMoments(nn.Module):
    """Mass and centre of each colour of a palette in images of one camera, to mean 0 and deviation 1.

    A colour that is not in a frame has a mass, and no centre: its weight is 0 there.

    Args:
        colors: Size K of the palette, at most 256. Empty until ``fit_`` or until a checkpoint is loaded.
    """

    nearest: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, colors: int) -> None:
        super().__init__()
        self.colors = colors
        self.register_buffer("nearest", torch.zeros(LEVELS**3, dtype=torch.uint8))
        self.register_buffer("mean", torch.zeros(colors * MOMENTS))
        self.register_buffer("scale", torch.ones(colors * MOMENTS))

    @torch.no_grad()
    def fit_(self, images: UInt8[np.ndarray, "N H W 3"]) -> None:
        """Find the palette and the scale of its moments in frames, evenly taken.

        Args:
            images: All training frames of the camera.
        """
        some = images[:: max(1, len(images) // SAMPLED_FRAMES)]
        palette = find_palette(some, self.colors)
        level = np.arange(LEVELS) * (256 // LEVELS) + 128 // LEVELS
        grid = np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(-1, 3)
        self.nearest.copy_(torch.from_numpy(_distance(grid, palette).argmin(axis=1)))
        moments, weight = self._moments(torch.from_numpy(some).to(self.nearest.device))
        seen = weight.sum(dim=0).clamp(min=1)
        self.mean.copy_((moments * weight).sum(dim=0) / seen)
        variance = (weight * (moments - self.mean).square()).sum(dim=0) / seen
        self.scale.copy_(variance.sqrt() + 0.02)

    @torch.no_grad()
    def forward(self, images: UInt8[Tensor, "N H W 3"]) -> tuple[Float[Tensor, "N M"], Float[Tensor, "N M"]]:
        """Moments ``(N, 3 K)``, and 1 where they count, 0 where their colour is not in the frame."""
        moments, weight = self._moments(images)
        return (moments - self.mean) / self.scale * weight, weight

    def _moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        frames, height, width = images.shape[:3]
        red, green, blue = (images >> SHIFT).unbind(dim=-1)
        place = (red.int() * LEVELS + green) * LEVELS + blue
        color = self.nearest.index_select(0, place.flatten()).reshape(frames, -1)
        slot = (color + self.colors * torch.arange(frames, device=images.device)[:, None]).flatten()
        # One sum for three: pixels, columns and rows in bits of their own. Whole numbers: exact in any order.
        row, column = (torch.arange(size, device=images.device) for size in (height, width))
        pixel = 1 + (column << BITS) + (row[:, None] << 2 * BITS)
        sums = torch.zeros(frames * self.colors, dtype=torch.int64, device=images.device)
        sums.scatter_add_(0, slot, pixel.flatten().repeat(frames))
        mass, *center = (((sums >> shift) & ((1 << BITS) - 1)).float() for shift in (0, BITS, 2 * BITS))
        pixels = mass.clamp(min=1)
        moments = torch.stack([mass.sqrt(), *(total / pixels for total in center)], dim=-1)
        seen = (mass >= SEEN_PIXELS).float()
        weight = torch.stack([torch.ones_like(seen), seen, seen], dim=-1)
        return moments.reshape(frames, -1), weight.reshape(frames, -1)


class Colors(nn.Module):
    """Colour moments of both cameras, side by side.

    Args:
        colors: Size K of each camera's palette.

    Attributes:
        moments: M, of both cameras together.
    """

    def __init__(self, colors: int) -> None:
        super().__init__()
        self.image_static = ColorMoments(colors)
        self.image_gripper = ColorMoments(colors)
        self.moments = moments_of(colors)

    def fit_(
        self, image_static: UInt8[np.ndarray, "N 64 64 3"], image_gripper: UInt8[np.ndarray, "N 64 64 3"]
    ) -> None:
        """Find the palettes in the training frames; they are part of the checkpoint."""
        self.image_static.fit_(image_static)
        self.image_gripper.fit_(image_gripper)

    def forward(
        self, image_static: UInt8[Tensor, "N 64 64 3"], image_gripper: UInt8[Tensor, "N 64 64 3"]
    ) -> tuple[Float[Tensor, "N M"], Float[Tensor, "N M"]]:
        """Moments of both cameras in each frame, and 1 where they count, 0 elsewhere."""
        found = zip(self.image_static(image_static), self.image_gripper(image_gripper), strict=True)
        moments, weight = (torch.cat(parts, dim=-1) for parts in found)
        return moments, weight


def moments_of(colors: int) -> int:
    """M, moments of both cameras together for a palette of ``colors``."""
    return 2 * MOMENTS * colors
