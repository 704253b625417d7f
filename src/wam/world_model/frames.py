"""Where a training step takes its frames from: the host's memory, or the GPU's if they fit there."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import ACTION, IMAGE_GRIPPER, IMAGE_STATIC, IS_FIRST, PREV_ACTION, PROPRIO, Batch
from wam.episodes.loaded import Episodes
from wam.episodes.sampler import gather_batch
from wam.training.device import sent

RESIDENT_SHARE = 0.5
"""Of the GPU's free memory that frames may take; the rest is for training."""


class Frames(Protocol):
    """Gives the frames of windows."""

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The frames in ``rows``, ``(B, T)``, on the device of training; see ``gather_batch``."""
        ...


class HostFrames:
    """Gathered in the host's memory, then sent; on a CPU nothing is sent.

    Args:
        episodes: With images.
        device: Of training.
    """

    def __init__(self, episodes: Episodes, device: torch.device) -> None:
        self._episodes = episodes
        self._device = device

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """See ``Frames``."""
        gathered = {key: torch.from_numpy(x) for key, x in gather_batch(self._episodes, rows).items()}
        return {key: sent(x, self._device) for key, x in gathered.items()}


class ResidentFrames:
    """All frames on the device of training: only row numbers travel.

    Args:
        episodes: With images.
        device: Of training.
    """

    def __init__(self, episodes: Episodes, device: torch.device) -> None:
        self._device = device
        arrays = {
            IMAGE_STATIC: episodes.image_static,
            IMAGE_GRIPPER: episodes.image_gripper,
            PROPRIO: episodes.proprio,
            ACTION: episodes.action,
            PREV_ACTION: episodes.prev_action(),
            IS_FIRST: episodes.is_first,
        }
        self._frames: dict[str, Tensor] = {key: torch.from_numpy(x).to(device) for key, x in arrays.items()}

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """See ``Frames``."""
        index = sent(torch.from_numpy(rows), self._device)
        return {key: x[index] for key, x in self._frames.items()}


def make_frames(episodes: Episodes, device: torch.device) -> Frames:
    """Resident on a GPU with room for them, else in the host's memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if episodes.image_static.nbytes + episodes.image_gripper.nbytes < RESIDENT_SHARE * free:
            return ResidentFrames(episodes, device)
    return HostFrames(episodes, device)
