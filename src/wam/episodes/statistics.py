"""Range of each proprio value over the training data, for min-max normalisation to [0, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wam.contracts import PROPRIO_DIM
from wam.episodes.store import EpisodeStore


@dataclass(frozen=True, eq=False)
class ProprioStatistics:
    """Range of each proprio value.

    Attributes:
        minimum: ``(18,)`` float32.
        maximum: ``(18,)`` float32, nowhere below ``minimum``.

    Raises:
        ValueError: If a shape is wrong, a value is not finite or a maximum lies below its minimum.
    """

    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check shapes and order."""
        for name in ("minimum", "maximum"):
            value = getattr(self, name)
            if value.shape != (PROPRIO_DIM,) or not np.isfinite(value).all():
                raise ValueError(f"{name} must be {PROPRIO_DIM} finite values, got {value}")
        if (self.maximum < self.minimum).any():
            index = int(np.argmax(self.maximum < self.minimum))
            raise ValueError(
                f"maximum[{index}] = {self.maximum[index]} lies below minimum {self.minimum[index]}"
            )

    @classmethod
    def from_proprio(cls, proprio: NDArray[np.float32]) -> "ProprioStatistics":
        """Range over rows ``(N, 18)``, N at least 1."""
        return cls(minimum=proprio.min(axis=0), maximum=proprio.max(axis=0))

    @classmethod
    def from_stores(cls, stores: Sequence[EpisodeStore]) -> "ProprioStatistics":
        """Range over all frames of one store (training only) or several (the published choice: both splits).

        Raises:
            ValueError: If there is no store.
        """
        if not stores:
            raise ValueError("statistics need at least one episode store, got none")
        parts = [cls.from_proprio(store.read("proprio")) for store in stores]
        return cls(
            minimum=np.min([part.minimum for part in parts], axis=0),
            maximum=np.max([part.maximum for part in parts], axis=0),
        )

    def to_dict(self) -> dict[str, list[float]]:
        """JSON-ready values; float32 values survive the round trip exactly."""
        return {"minimum": self.minimum.tolist(), "maximum": self.maximum.tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ProprioStatistics":
        """Statistics from the values of :meth:`to_dict`.

        Raises:
            ValueError: If a key is missing or unknown, or a value does not fit.
        """
        if set(values) != {"minimum", "maximum"}:
            raise ValueError(f"proprio statistics have the keys minimum and maximum, got {sorted(values)}")
        return cls(
            minimum=np.asarray(values["minimum"], np.float32),
            maximum=np.asarray(values["maximum"], np.float32),
        )
