"""A start: everything the simulator needs to put the world back to one recorded moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ROBOT_OBS_DIM, SCENE_STATE_DIM


@dataclass(frozen=True, eq=False)
class Start:
    """One start of an attempt, a replay or an episode.

    Attributes:
        robot_obs: CALVIN's 15-d robot state, ``(15,)`` float64: TCP xyz (m), Euler xyz (rad), gripper width
            (m), seven joints (rad), last gripper action (-1 or +1).
        scene_state: CALVIN's 24-d scene state, ``(24,)`` float64.
        layout: Furniture layout of the episode, ``(L,)`` float64, opaque here; None for CALVIN's own table.

    Raises:
        ValueError: If a vector has another shape or holds a value that is not finite.
    """

    robot_obs: NDArray[np.float64]
    scene_state: NDArray[np.float64]
    layout: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Copy the vectors as read-only float64 and check them."""
        self._freeze("robot_obs", (ROBOT_OBS_DIM,))
        self._freeze("scene_state", (SCENE_STATE_DIM,))
        if self.layout is not None:
            self._freeze("layout", None)

    def _freeze(self, name: str, shape: tuple[int, ...] | None) -> None:
        values = np.array(getattr(self, name), dtype=np.float64)
        if values.ndim != 1 or (shape is not None and values.shape != shape):
            raise ValueError(f"{name} of a start must have shape {shape or '(L,)'}, got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} of a start holds a value that is not finite: {values}")
        values.setflags(write=False)
        object.__setattr__(self, name, values)

    def __eq__(self, other: object) -> bool:
        """Equal in every value (a missing layout equals only a missing layout)."""
        if not isinstance(other, Start):
            return NotImplemented
        if (self.layout is None) != (other.layout is None):
            return False
        same_layout = self.layout is None or np.array_equal(self.layout, other.layout)  # type: ignore[arg-type]
        return (
            same_layout
            and np.array_equal(self.robot_obs, other.robot_obs)
            and np.array_equal(self.scene_state, other.scene_state)
        )

    def __hash__(self) -> int:
        """Hash of the exact bytes of every vector."""
        layout = b"" if self.layout is None else self.layout.tobytes()
        return hash((self.robot_obs.tobytes(), self.scene_state.tobytes(), layout))
