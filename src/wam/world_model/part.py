"""A part of a batch: what a step's loss needs so that the parts' losses add up to the whole batch's.

The mean over a batch is not the mean of its parts' means where parts differ in what is counted: how many of
their frames are decoded, and how many of their pairs of frames lie within one episode. So each part's terms
are weighed by its share of what is counted, in the whole batch.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Neighbouring streams of a batch.

    Attributes:
        streams: Which.
        batch: Streams B of the whole batch.
        pair_share: Of the whole batch's pairs of frames within one episode, in [0, 1].
    """

    streams: slice
    batch: int
    pair_share: float

    @classmethod
    def of(cls, is_first: NDArray[np.bool_], streams: slice) -> Self:
        """Some streams of a batch whose episodes start at ``is_first`` ``(B, T)``."""
        pairs = (~is_first[:, 1:]).sum(axis=1)
        return cls(streams, len(is_first), float(pairs[streams].sum() / max(1, pairs.sum())))

    @property
    def frame_share(self) -> float:
        """Share of the whole batch's frames."""
        return float((self.streams.stop - self.streams.start) / self.batch)

    def decoded(self, chosen: Tensor, steps: int) -> tuple[Tensor, float]:
        """Which of this part's frames are decoded.

        Args:
            chosen: Indices of frames of the whole batch, ``B x T`` in a row.
            steps: Frames T of a stream.

        Returns:
            Their indices in this part, and their share of all that are chosen. At least one index, so that
            a mean over them exists; the share may be 0.
        """
        first, last = steps * self.streams.start, steps * self.streams.stop
        own = chosen[(chosen >= first) & (chosen < last)] - first
        return (own if len(own) else torch.zeros_like(chosen[:1])), len(own) / len(chosen)

    def weigh(self, values: dict[str, Tensor], decoded_share: float) -> dict[str, Tensor]:
        """Terms or metrics of this part, such that the parts' add up to the whole batch's."""
        shares = {
            "image": decoded_share,
            "action": self.pair_share,
            "action_error": self.pair_share,
        }
        return {name: shares.get(name, self.frame_share) * value for name, value in values.items()}


def split_streams(batch: int, parts: int) -> list[slice]:
    """Cut B streams into parts of nearly equal size.

    Raises:
        ValueError: If there are more parts than streams.
    """
    if parts > batch:
        raise ValueError(
            f"a batch of {batch} streams cannot be cut into {parts} parts (compute.devices x "
            "compute.accumulate); lower one of them or raise world_model_training.batch"
        )
    bounds = [round(index * batch / parts) for index in range(parts + 1)]
    return [slice(first, last) for first, last in pairwise(bounds)]
