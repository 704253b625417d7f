"""What the control policies see instead of features: proprioception alone, or the privileged state."""

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.statistics import ProprioStatistics
from wam.sim.constants import BUTTON_LIMITS, SWITCH_LIMITS
from wam.sim.layout import LAYOUT_FIELDS, LAYOUT_RANGES
from wam.tasks.table import BUTTON, DRAWER, JOINT_LIMITS, LED, LIGHTBULB, SLIDER, SWITCH

ControlKind = Literal["proprio", "privileged"]
"""``proprio``: the 18-d proprio alone. ``privileged``: also the six furniture values and the layout."""

FURNITURE_RANGES: Final = {
    SLIDER: JOINT_LIMITS[SLIDER],
    DRAWER: JOINT_LIMITS[DRAWER],
    BUTTON: BUTTON_LIMITS,
    SWITCH: SWITCH_LIMITS,
    LIGHTBULB: (0.0, 1.0),
    LED: (0.0, 1.0),
}
"""Low and high of the six furniture values (m; lights 0 or 1), mapped to -1 and +1."""


def control_condition(
    kind: ControlKind,
    robot_obs: NDArray[np.floating],
    scene_state: NDArray[np.floating],
    layout: NDArray[np.floating] | None,
    statistics: ProprioStatistics,
) -> NDArray[np.float32]:
    """What a control policy sees, every value scaled to about [-1, 1].

    The blocks (scene values 6 to 23) are left out: none of the eight tasks depends on them, and 18 idle
    inputs would only handicap a control that is meant to be strong.

    Args:
        kind: Which control.
        robot_obs: CALVIN's robot vectors (N, 15).
        scene_state: CALVIN's scene vectors (N, 24).
        layout: Furniture layouts (N, L), or None (or L = 0) where the furniture never moves.
        statistics: Range of each proprio value in the training episodes, and how rotations are read.

    Returns:
        Conditions (N, 18) or (N, 18 + 6 + L), float32.

    Raises:
        ValueError: If the kind is unknown.
    """
    if kind not in get_args(ControlKind):
        raise ValueError(f"unknown control {kind!r}; one of {', '.join(get_args(ControlKind))}")
    parts: list[NDArray[np.floating]] = [
        unit_proprio(proprio_from_robot_obs(robot_obs, statistics.convention), statistics)
    ]
    if kind == "privileged":
        low, high = np.array([FURNITURE_RANGES[index] for index in sorted(FURNITURE_RANGES)]).T
        parts.append(_to_unit(scene_state[:, sorted(FURNITURE_RANGES)], low, high))
        if layout is not None and layout.shape[-1] > 0:
            ranges = np.array([LAYOUT_RANGES[name][:2] for name in LAYOUT_FIELDS], np.float64)
            parts.append(_to_unit(layout, *ranges.T))
    return np.concatenate(parts, axis=1).astype(np.float32)


def unit_proprio(proprio: NDArray[np.floating], statistics: ProprioStatistics) -> NDArray[np.float32]:
    """Proprio (N, 18) with the training range of every value mapped to [-1, 1], float32."""
    return _to_unit(proprio, statistics.minimum, statistics.maximum).astype(np.float32)


def _to_unit(
    values: NDArray[np.floating], low: NDArray[np.floating], high: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Map [low, high] to [-1, 1]; a value whose range is empty becomes its offset."""
    span = np.where(high > low, (high - low) / 2, 1.0)
    return np.asarray((values - (low + high) / 2) / span, np.float64)
