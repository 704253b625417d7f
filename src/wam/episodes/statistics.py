"""Range of each proprio value over the training data, for min-max normalisation to [0, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wam.contracts import PROPRIO_DIM
from wam.episodes.rotation import RotationConvention

if TYPE_CHECKING:  # a model with given statistics needs no Zarr
    from wam.episodes.store import EpisodeStore


@dataclass(frozen=True, eq=False)
class ProprioStatistics:
    """Range of each proprio value.

    Attributes:
        minimum: ``(18,)`` float32.
        maximum: ``(18,)`` float32, nowhere below ``minimum``.
        convention: How the rotations in these values were read; whoever makes proprio of robot states for a
            model with this range must read them alike.

    Raises:
        ValueError: If a shape is wrong, a value is not finite or a maximum lies below its minimum.
    """

    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    convention: RotationConvention = "extrinsic"

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
    def from_stores(cls, stores: "Sequence[EpisodeStore]") -> "ProprioStatistics":
        """Range over all frames of one store (training only) or several (the published choice: both splits).

        Raises:
            ValueError: If there is no store, or they read rotations differently.
        """
        if not stores:
            raise ValueError("statistics need at least one episode store, got none")
        conventions = {store.rotation_convention for store in stores}
        if len(conventions) > 1:
            raise ValueError(f"the stores read rotations as {sorted(conventions)}; ingest both alike")
        parts = [cls.from_proprio(store.read("proprio")) for store in stores]
        return cls(
            minimum=np.min([part.minimum for part in parts], axis=0),
            maximum=np.max([part.maximum for part in parts], axis=0),
            convention=conventions.pop(),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; float32 values survive the round trip exactly."""
        return {
            "minimum": self.minimum.tolist(),
            "maximum": self.maximum.tolist(),
            "rotation_convention": self.convention,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ProprioStatistics":
        """Statistics from the values of :meth:`to_dict`.

        Raises:
            ValueError: If a key is missing or unknown, or a value does not fit.
        """
        if set(values) != {"minimum", "maximum", "rotation_convention"}:
            raise ValueError(
                "proprio statistics have the keys minimum, maximum and rotation_convention, got "
                f"{sorted(values)}; run ingest again"
            )
        return cls(
            minimum=np.asarray(values["minimum"], np.float32),
            maximum=np.asarray(values["maximum"], np.float32),
            convention=values["rotation_convention"],
        )
