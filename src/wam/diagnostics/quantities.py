"""What a policy has to know of the table: the quantities that probes read, in one list.

Lengths are in centimetres, lights are 0 or 1. The layout of the furniture belongs to an episode and is there
only where it was recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from wam.episodes.store import Episodes
from wam.tasks.table import BUTTON, DRAWER, LED, LIGHTBULB, SLIDER, SWITCH, TASKS

Group = Literal["arm", "drawer", "slider", "switch", "button", "light", "layout"]
CM: Final = 100.0
"""Centimetres in a metre."""


@dataclass(frozen=True)
class Quantity:
    """One number that a policy may need.

    Attributes:
        name: In tables and metrics.
        title: For a reader.
        group: Whose pass mark it has.
    """

    name: str
    title: str
    group: Group

    @property
    def is_light(self) -> bool:
        """Judged by accuracy instead of error."""
        return self.group == "light"


ARM: Final = tuple(Quantity(f"arm_{axis}", f"arm {axis}", "arm") for axis in "xyz")
SCENE: Final = {
    DRAWER: Quantity("drawer", "drawer opening", "drawer"),
    SLIDER: Quantity("slider", "slider opening", "slider"),
    SWITCH: Quantity("switch", "switch", "switch"),
    BUTTON: Quantity("button", "button", "button"),
    LIGHTBULB: Quantity("bulb", "bulb", "light"),
    LED: Quantity("led", "LED", "light"),
}
"""By index in the scene state."""
LAYOUT_PREFIX: Final = "layout_"
"""Before the names of layout values, which may be those of a joint as well."""

_LAYOUT_OF_TASK: Final = {
    DRAWER: ("drawer_x",),
    SLIDER: ("slider_handle_x", "slider_handle_up"),
    LIGHTBULB: ("switch_x",),
    LED: ("button_x", "button_y"),
}
_JOINTS_OF_TASK: Final = {LIGHTBULB: (SWITCH,), LED: ()}


def quantities(layout_names: Sequence[str] = ()) -> tuple[Quantity, ...]:
    """All quantities, in the order of :func:`values`.

    Args:
        layout_names: Names of the recorded layout values; none where the furniture never moves.
    """
    layout = (
        Quantity(f"{LAYOUT_PREFIX}{n}", f"place: {n.replace('_', ' ')}", "layout") for n in layout_names
    )
    return (*ARM, *SCENE.values(), *layout)


def quantities_called(names: Sequence[str]) -> tuple[Quantity, ...]:
    """The quantities that probes were fitted to, by their names."""
    layout = [name.removeprefix(LAYOUT_PREFIX) for name in names if name.startswith(LAYOUT_PREFIX)]
    return quantities(layout)


def values(
    robot_obs: NDArray[np.floating], scene_state: NDArray[np.floating], layout: NDArray[np.floating] | None
) -> NDArray[np.float64]:
    """True values of all quantities.

    Args:
        robot_obs: CALVIN's robot vectors, ``(n, 15)``.
        scene_state: CALVIN's scene vectors, ``(n, 24)``.
        layout: Furniture layouts (m), ``(n, L)``; None for none.

    Returns:
        ``(n, Q)``: centimetres, lights exactly 0 or 1.
    """
    scene = [
        (scene_state[:, index] > 0.5).astype(np.float64) if quantity.is_light else CM * scene_state[:, index]
        for index, quantity in SCENE.items()
    ]
    parts = [CM * robot_obs[:, :3], np.stack(scene, axis=1)]
    if layout is not None:
        parts.append(CM * layout)
    return np.concatenate(parts, axis=1).astype(np.float64)


def values_at(episodes: Episodes, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """True values at some frames of a store, ``(n, Q)``; see :func:`values`."""
    layout = None if episodes.layout is None else episodes.layout[episodes.episode_of(rows)]
    return values(episodes.robot_obs[rows], episodes.scene_state[rows], layout)


def needed_for(task: str, *, arm: bool = True) -> tuple[str, ...]:
    """Names of the quantities that a task turns on: the hand, what it moves, and where that stands.

    Args:
        task: The task.
        arm: Whether the hand is among them; a policy that is shown it measured need not read it.
    """
    moved = TASKS[task].quantity
    scene = [SCENE[index].name for index in (*_JOINTS_OF_TASK.get(moved, ()), moved)]
    layout = [f"{LAYOUT_PREFIX}{name}" for name in _LAYOUT_OF_TASK[moved]]
    hand = [quantity.name for quantity in ARM] if arm else []
    return (*hand, *scene, *layout)
