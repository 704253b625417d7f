"""CALVIN's task oracle: which of its 34 tasks were done between two moments.

A moment is the dictionary that `get_info` of either simulator returns. Blocks are judged by where they are
and what they touch, so scene states are not enough; for furniture and lights the rules are those of
`predicates`. Names and thresholds are those of calvin_env (`conf/tasks/new_playtable_tasks.yaml`).
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Moment = Mapping[str, Any]
Rule = Callable[[Moment, Moment], bool]
Surface = tuple[int, int]
"""PyBullet's body id and link index of what is touched."""

TURN_DEGREES: Final = 60.0
"""Least turn about the vertical of a rotated block; left is positive."""
TILT_DEGREES: Final = 30.0
"""A rotated block stays below this tilt."""
DRIFT_M: Final = 0.1
"""A rotated block moves no further than this."""
PUSH_M: Final = 0.1
"""Least move along world x of a pushed block; right is positive."""
LIFT_M: Final = MappingProxyType({"table": 0.05, "slider": 0.03, "drawer": 0.05})
"""Least rise of a lifted block by what it lay on."""
SURFACE_LINKS: Final = MappingProxyType(
    {"table": "base_link", "slider": "plank_link", "drawer": "drawer_link"}
)
STILL: Final = 1.0
"""Speeds (m/s and rad/s, by component) below which a stacked block counts as at rest."""
COLORS: Final = ("red", "blue", "pink")


def _block(moment: Moment, color: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = moment["scene_info"]["movable_objects"][f"block_{color}"]
    return found


def _touched(contacts: Iterable[Any]) -> set[Surface]:
    """Bodies and links on the other side of PyBullet's contact tuples."""
    return {(contact[2], contact[4]) for contact in contacts}


def _bodies(surfaces: Iterable[Surface]) -> set[int]:
    return {body for body, _ in surfaces}


def _surface(moment: Moment, name: str) -> Surface:
    table = moment["scene_info"]["fixed_objects"]["table"]
    return table["uid"], table["links"][SURFACE_LINKS[name]]


def _robot(moment: Moment) -> int:
    return int(moment["robot_info"]["uid"])


def _travel(start: Moment, end: Moment, color: str) -> NDArray[np.float64]:
    here, there = _block(start, color)["current_pos"], _block(end, color)["current_pos"]
    return np.array(there, np.float64) - np.array(here, np.float64)


def _matrix(quaternion: Iterable[float]) -> NDArray[np.float64]:
    """Rotation matrix of a quaternion (x, y, z, w) of any length."""
    values = np.array(list(quaternion), np.float64)
    x, y, z, w = values / np.linalg.norm(values)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _turn(start: Moment, end: Moment, color: str) -> tuple[float, float, float]:
    """Fixed-axis Euler angles xyz (degrees) of the rotation from start to end, in the world frame."""
    turn = _matrix(_block(end, color)["current_orn"]) @ _matrix(_block(start, color)["current_orn"]).T
    roll = np.arctan2(turn[2, 1], turn[2, 2])
    pitch = np.arcsin(np.clip(-turn[2, 0], -1.0, 1.0))
    yaw = np.arctan2(turn[1, 0], turn[0, 0])
    x, y, z = np.degrees([roll, pitch, yaw])
    return float(x), float(y), float(z)


def _rotate(color: str, sign: int) -> Rule:
    def rule(start: Moment, end: Moment) -> bool:
        x, y, z = _turn(start, end, color)
        rests = bool(_bodies(_touched(_block(end, color)["contacts"])) - {_robot(start)})
        near = float(np.linalg.norm(_travel(start, end, color))) <= DRIFT_M
        return rests and near and TURN_DEGREES < sign * z < 180.0 and max(abs(x), abs(y)) < TILT_DEGREES

    return rule


def _push(color: str, sign: int) -> Rule:
    def rule(start: Moment, end: Moment) -> bool:
        before, after = (
            {s for s in _touched(_block(moment, color)["contacts"]) if s[0] != _robot(start)}
            for moment in (start, end)
        )
        on_surface = bool(before) and before <= after
        return on_surface and sign * float(_travel(start, end, color)[0]) > PUSH_M

    return rule


def _lift(color: str, origin: str) -> Rule:
    def rule(start: Moment, end: Moment) -> bool:
        lay = _surface(start, origin) in _touched(_block(start, color)["contacts"])
        held = _bodies(_touched(_block(end, color)["contacts"])) == {_robot(start)}
        return lay and held and float(_travel(start, end, color)[2]) > LIFT_M[origin]

    return rule


def _place(target: str) -> Rule:
    def rule(start: Moment, end: Moment) -> bool:
        gripped = _bodies(_touched(start["robot_info"]["contacts"]))
        held = [color for color in COLORS if gripped == {_block(start, color)["uid"]}]
        if not held:
            return False
        block = _block(end, held[0])
        released = block["uid"] not in _bodies(_touched(end["robot_info"]["contacts"]))
        in_the_air = _bodies(_touched(_block(start, held[0])["contacts"])) == {_robot(start)}
        return released and in_the_air and _surface(end, target) in _touched(block["contacts"])

    return rule


def _push_into_drawer(start: Moment, end: Moment) -> bool:
    def fell(color: str) -> bool:
        before, after = (_touched(_block(moment, color)["contacts"]) for moment in (start, end))
        alone = _robot(start) not in _bodies(before | after)
        return alone and before == {_surface(start, "table")} and _surface(end, "drawer") in after

    return any(fell(color) for color in COLORS)


def _stack(*, undo: bool) -> Rule:
    """A block that rests on nothing but blocks at one moment, and touches none at the other."""

    def rule(start: Moment, end: Moment) -> bool:
        stacked, apart = (start, end) if undo else (end, start)
        blocks = {_block(start, color)["uid"] for color in COLORS}
        for color in COLORS:
            block = _block(stacked, color)
            under = _bodies(_touched(block["contacts"]))
            free = not blocks & _bodies(_touched(_block(apart, color)["contacts"]))
            speeds = np.abs([*block["current_lin_vel"], *block["current_ang_vel"]])
            if free and under and under <= blocks and bool((speeds < STILL).all()):
                return True
        return False

    return rule


def _move(joint: str, least: float) -> Rule:
    def rule(start: Moment, end: Moment) -> bool:
        here, there = (m["scene_info"]["doors"][joint]["current_state"] for m in (start, end))
        return bool(np.sign(least) * (there - here) > abs(least))

    return rule


def _switch(light: str, *, on: bool) -> Rule:
    def rule(start: Moment, end: Moment) -> bool:
        before, after = (m["scene_info"]["lights"][light]["logical_state"] for m in (start, end))
        return bool(before == (not on) and after == on)

    return rule


def _rules() -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    for color in COLORS:
        for side, sign in (("right", -1), ("left", 1)):
            rules[f"rotate_{color}_block_{side}"] = _rotate(color, sign)
            rules[f"push_{color}_block_{side}"] = _push(color, -sign)
        for origin in SURFACE_LINKS:
            rules[f"lift_{color}_block_{origin}"] = _lift(color, origin)
    rules |= {
        "move_slider_left": _move("base__slide", 0.15),
        "move_slider_right": _move("base__slide", -0.15),
        "open_drawer": _move("base__drawer", 0.12),
        "close_drawer": _move("base__drawer", -0.12),
        "place_in_slider": _place("slider"),
        "place_in_drawer": _place("drawer"),
        "stack_block": _stack(undo=False),
        "unstack_block": _stack(undo=True),
        "push_into_drawer": _push_into_drawer,
    }
    for light in ("lightbulb", "led"):
        rules[f"turn_on_{light}"] = _switch(light, on=True)
        rules[f"turn_off_{light}"] = _switch(light, on=False)
    return rules


ORACLE: Final[Mapping[str, Rule]] = MappingProxyType(_rules())
"""The 34 tasks by name."""


def tasks_done(start: Moment, end: Moment) -> set[str]:
    """Names of the tasks (of 34) that were done between two moments of one simulator.

    Args:
        start: `get_info` at the start of the attempt.
        end: `get_info` at the moment to judge.
    """
    return {name for name, rule in ORACLE.items() if rule(start, end)}
