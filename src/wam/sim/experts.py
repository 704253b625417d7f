"""Scripted experts: from a table and its state to a path that does a task, or nearly does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.sim import constants as c
from wam.sim import geometry as g
from wam.sim.layout import Layout
from wam.sim.waypoints import GRIPPER_ACROSS, GRIPPER_FORWARD, OPEN, Leg, LegFollower, Vector
from wam.tasks.table import DRAWER, SLIDER, SWITCH
from wam.tasks.table import task as task_named

SPEED: Final = 0.014
"""Metres per control step; labels are clipped at 0.02, noise and overshoot need the room between."""
HAND_HEIGHT: Final = 0.372
"""TCP height (m) in the drawer's gap: fingers deep behind the bar, palm just above the table top."""
DRAWER_GAP_SLACK: Final = 0.018
"""Metres from the middle of the drawer's gap to where a finger touches face or bar."""
KNOB_SLACK: Final = 0.022
"""Metres from straddling the knob evenly to touching it with one finger."""
KNOB_SHALLOW: Final = 0.010
"""Metres that the TCP stays short of the knob: the finger tips hold it, 9 mm past its middle."""
HAND_ACROSS: Final = np.array([0.0, np.sin(0.5), -np.cos(0.5)])
"""Direction in which fingers point that are tilted square to the knob."""
OVERTRAVEL: Final = 0.006
"""Metres that a stroke is driven beyond the point of contact, against the lag of the arm."""
PRESS_DEPTH: Final = 0.018
"""Metres; the LED toggles at 0.010 and the button ends at 0.020."""
PRESS_HOLD: Final = 2
"""Steps at the bottom of a press: labels lag, and a press without a pause is replayed 7 mm short."""
HOVER: Final = 0.02
"""Metres above the button at which the press begins."""
FINGER_UNDER_BAR: Final = 0.026
"""Distance (m) along the slant between the switch bar's centre and the axis of a finger that touches it."""
FINGER_DEEP: Final = 0.010
"""Metres that the finger reaches past the switch's bar, seen from the TCP."""
HAND_FORWARD: Final = np.array([0.0, np.sin(0.6), -np.cos(0.6)])
"""Direction in which the forward-tilted fingers point."""
FRONT_Y: Final = -0.19
"""In front of the table's front edge (m, world y): go up before anything else."""
WALL_Y: Final = -0.07
"""Behind this (m, world y) hands may be between furniture: go back before anything else."""

STROKE_ENDS: Final[Mapping[str, float]] = {
    "open_drawer": c.DRAWER_LIMITS[1],
    "close_drawer": c.DRAWER_LIMITS[0],
    "move_slider_left": c.SLIDE_LIMITS[1],
    "move_slider_right": c.SLIDE_LIMITS[0],
    "turn_on_lightbulb": c.SWITCH_LIMITS[1],
    "turn_off_lightbulb": c.SWITCH_LIMITS[0],
}
"""Joint value (m) at which the whole stroke of a task ends."""


@dataclass(frozen=True)
class Attempt:
    """How a task is to be tried.

    Attributes:
        task: Task name.
        stroke_end: Joint value (m) to drive to; None for the end of the joint's range.
        press_depth: How deep (m) to press the button.
        offset: World offset (m) of the whole motion; far enough, it misses on purpose.
        speed: Metres per control step.
        stroke_speed: Metres per control step while the furniture is moved; None for `speed`.
    """

    task: str
    stroke_end: float | None = None
    press_depth: float = PRESS_DEPTH
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    speed: float = SPEED
    stroke_speed: float | None = None

    @property
    def end(self) -> float:
        """Joint value (m) to drive to."""
        return STROKE_ENDS[self.task] if self.stroke_end is None else self.stroke_end

    @property
    def direction(self) -> float:
        """+1 if the task increases its joint or switches a light on, else -1."""
        return 1.0 if task_named(self.task).delta > 0 else -1.0

    @property
    def pace(self) -> float:
        """Metres per control step of the stroke."""
        return self.speed if self.stroke_speed is None else self.stroke_speed


class Expert:
    """Does one task by a path planned once, from layout and scene state, and followed by feedback.

    Args:
        attempt: What to do and how.
        layout: Where the furniture stands, or is believed to stand.
        scene_state: (24,) scene state at the start, or what is believed of it.
        robot_obs: (15,) robot state at the start.
    """

    def __init__(
        self,
        attempt: Attempt,
        layout: Layout,
        scene_state: NDArray[np.float64],
        robot_obs: NDArray[np.float64],
    ) -> None:
        self._follower = LegFollower(plan(attempt, layout, scene_state, robot_obs))

    @property
    def finished(self) -> bool:
        """Whether the whole path has been followed."""
        return self._follower.finished

    def act(self, observation: Mapping[str, Any], target_pose: Vector) -> NDArray[np.float64]:
        """The next relative action, (7,) in [-1, 1], from the robot's state alone.

        Args:
            observation: Observation of `PlayTableEnv`; only `robot_obs` is read.
            target_pose: (6,) the environment's accumulating target pose.
        """
        return self._follower.act(observation["robot_obs"], target_pose)


def plan(
    attempt: Attempt, layout: Layout, scene_state: NDArray[np.float64], robot_obs: NDArray[np.float64]
) -> list[Leg]:
    """Legs that do an attempt from where the arm is; a motion that is half done is taken up in the middle.

    Raises:
        ValueError: Unknown task.
    """
    task_named(attempt.task)
    tcp = np.asarray(robot_obs[:3], np.float64)
    approach, stroke, retreat = _PLANS[attempt.task](attempt, layout, scene_state)
    shift = np.array(attempt.offset)
    approach, stroke, retreat = ([_moved(leg, shift) for leg in legs] for legs in (approach, stroke, retreat))
    near = approach[-1]
    in_place = (
        np.linalg.norm(tcp - near.goal) < 1.5 * near.tolerance and abs(robot_obs[14] - near.gripper) < 1
    )
    if not in_place:
        stroke = [*escape(tcp, attempt.speed, near.gripper), *approach, *stroke]
    return [*stroke, *retreat]


def escape(tcp: Vector, speed: float, gripper: float) -> list[Leg]:
    """Legs out of the furniture: up from in front of the table, back from the wall; none in free space."""
    if tcp[1] < FRONT_Y and tcp[2] < 0.46:
        return [Leg(np.array([tcp[0], tcp[1], 0.47]), gripper=gripper, tolerance=0.02, speed=speed)]
    if tcp[1] > WALL_Y and tcp[2] < 0.68:
        back = np.array([tcp[0], WALL_Y - 0.03, max(tcp[2] + 0.02, 0.52)])
        return [Leg(back, gripper=gripper, tolerance=0.025, speed=speed, patience=20)]
    return []


def _moved(leg: Leg, shift: Vector) -> Leg:
    return replace(leg, goal=leg.goal + shift)


Legs = tuple[list[Leg], list[Leg], list[Leg]]


def _drawer(attempt: Attempt, layout: Layout, scene: NDArray[np.float64]) -> Legs:
    gap = layout.drawer_handle(float(scene[DRAWER]))
    gap[2] = HAND_HEIGHT
    side = -attempt.direction
    end = layout.drawer_handle(attempt.end) + np.array([0.0, side * (DRAWER_GAP_SLACK + OVERTRAVEL), 0.0])
    end[2] = HAND_HEIGHT
    speed = attempt.speed
    return (
        [Leg(gap, tolerance=0.010, speed=speed, slope=5.0, ceiling=0.50)],
        [Leg(end, tolerance=0.008, speed=attempt.pace, straight=True, patience=45)],
        [Leg(end + np.array([0.0, 0.0, 0.11]), tolerance=0.03, speed=speed, patience=20)],
    )


def _slider(attempt: Attempt, layout: Layout, scene: NDArray[np.float64]) -> Legs:
    knob = layout.slider_handle(float(scene[SLIDER])) - KNOB_SHALLOW * HAND_ACROSS
    side = -attempt.direction
    end = (
        layout.slider_handle(attempt.end)
        - KNOB_SHALLOW * HAND_ACROSS
        + np.array([side * (KNOB_SLACK + OVERTRAVEL), 0.0, 0.0])
    )
    back = end + np.array([-side * 0.02, -0.06, 0.03])
    ceiling = max(0.56, float(knob[2]) + 0.07)
    common: dict[str, Any] = {"euler": GRIPPER_ACROSS, "gripper": OPEN, "speed": attempt.speed}
    stroke = {"speed": attempt.pace}
    return (
        [Leg(knob, tolerance=0.009, slope=2.5, ceiling=ceiling, **common)],
        [Leg(end, tolerance=0.008, straight=True, patience=45, **(common | stroke))],
        [Leg(back, tolerance=0.03, patience=20, **common)],
    )


def _switch(attempt: Attempt, layout: Layout, scene: NDArray[np.float64]) -> Legs:
    side = attempt.direction

    def touch(switch: float, clear: float) -> Vector:
        return (
            layout.switch_bar(switch)
            - side * (FINGER_UNDER_BAR + clear) * g.SLANT
            - FINGER_DEEP * HAND_FORWARD
        )

    first = touch(float(scene[SWITCH]), 0.012)
    end = touch(attempt.end, -OVERTRAVEL)
    common: dict[str, Any] = {"euler": GRIPPER_FORWARD, "speed": attempt.speed}
    stroke = {"speed": attempt.pace}
    return (
        [Leg(first + 0.07 * g.NORMAL, tolerance=0.025, **common), Leg(first, tolerance=0.010, **common)],
        [Leg(end, tolerance=0.008, straight=True, patience=30, **(common | stroke))],
        [Leg(end + 0.08 * g.NORMAL, tolerance=0.03, patience=20, **common)],
    )


def _button(attempt: Attempt, layout: Layout, scene: NDArray[np.float64]) -> Legs:
    del scene
    touch = layout.button_top() + np.array([0.0, 0.0, g.FINGER_TIP_BELOW_TCP])
    hover = touch + np.array([0.0, 0.0, HOVER])
    pressed = touch - np.array([0.0, 0.0, attempt.press_depth])
    speed = attempt.speed
    return (
        [Leg(hover, tolerance=0.012, speed=speed, slope=3.0, ceiling=0.56)],
        [Leg(pressed, tolerance=0.004, speed=0.7 * speed, patience=15, hold=PRESS_HOLD)],
        [Leg(hover + np.array([0.0, 0.0, 0.03]), tolerance=0.02, speed=speed, patience=15)],
    )


_PLANS: Final[Mapping[str, Callable[[Attempt, Layout, NDArray[np.float64]], Legs]]] = {
    "open_drawer": _drawer,
    "close_drawer": _drawer,
    "move_slider_left": _slider,
    "move_slider_right": _slider,
    "turn_on_lightbulb": _switch,
    "turn_off_lightbulb": _switch,
    "turn_on_led": _button,
    "turn_off_led": _button,
}
