"""Colour moments of training frames, found once for each frame and kept.

Every frame comes into a batch several times in a training, and its moments are the same each time; finding
them took a tenth of a step on a CPU.
"""

import math
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC, Batch
from wam.episodes.loaded import Episodes
from wam.world_model.colors import Colors

TARGET: Final = "color_target"
"""Key of a batch: moments of both cameras, ``(B, T, M)``."""
BLOCK: Final = 1024
"""Frames whose moments are found at a time."""
WEIGHT: Final = "color_weight"
"""Key of a batch: 1 where they count, 0 elsewhere, ``(B, T, M)``."""


def color_targets(colors: Colors, batch: Batch) -> tuple[Tensor, Tensor]:
    """Moments and weights of all frames of a batch, ``(N, M)``: those it holds, else found now.

    Args:
        colors: Whose palettes are found.
        batch: Frames with any number of leading axes, with or without the keys of ``ColorTargets``.
    """
    if TARGET in batch:
        return batch[TARGET].flatten(end_dim=-2), batch[WEIGHT].flatten(end_dim=-2)
    found: tuple[Tensor, Tensor] = colors(
        *(batch[key].flatten(end_dim=-4) for key in (IMAGE_STATIC, IMAGE_GRIPPER))
    )
    return found


def with_color_targets(colors: Colors, batch: Batch) -> Batch:
    """A batch ``(B, T, ...)`` that holds its moments and weights, so that they are found once."""
    if TARGET in batch:
        return batch
    leading = batch[IMAGE_STATIC].shape[:-3]
    target, weight = (x.reshape(*leading, -1) for x in color_targets(colors, batch))
    return {**batch, TARGET: target, WEIGHT: weight}


class ColorTargets:
    """Targets by frame, in the host's memory: 5 bytes a moment, found when they are first asked for.

    Args:
        colors: Whose palettes are found already, and stay as they are.
        frames: How many there are.
    """

    def __init__(self, colors: Colors, frames: int) -> None:
        moments = colors.moments
        self._colors = colors
        self._device = colors.image_static.nearest.device
        self._known = np.zeros(frames, np.bool_)
        self._target = torch.empty(frames, moments)
        self._counts = torch.empty(frames, moments, dtype=torch.bool)

    @torch.no_grad()
    def all_of(self, episodes: Episodes) -> tuple[Float[Tensor, "N M"], Bool[Tensor, "N M"]]:
        """Moments of all frames, of which these are the targets, and where they count."""
        for rows in np.array_split(np.arange(len(self._known)), math.ceil(len(self._known) / BLOCK)):
            images = {IMAGE_STATIC: episodes.image_static[rows], IMAGE_GRIPPER: episodes.image_gripper[rows]}
            self.added({key: torch.from_numpy(value)[None] for key, value in images.items()}, rows[None])
        return self._target, self._counts

    def added(self, batch: Batch, rows: Int64[np.ndarray, "B T"]) -> Batch:
        """A batch of the frames in ``rows`` with their targets and weights."""
        places = rows.ravel()
        missing = np.flatnonzero(~self._known[places])
        if len(missing):
            images = (batch[key].flatten(end_dim=1)[missing] for key in (IMAGE_STATIC, IMAGE_GRIPPER))
            target, weight = (x.cpu() for x in self._colors(*(image.to(self._device) for image in images)))
            found = torch.from_numpy(places[missing])
            self._target[found], self._counts[found] = target, weight > 0
            self._known[places[missing]] = True
        index = torch.from_numpy(rows)
        return {**batch, TARGET: self._target[index], WEIGHT: self._counts[index].float()}
