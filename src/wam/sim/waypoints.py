"""Following legs of a path with relative actions, by feedback on the measured TCP.

The arm follows an accumulating target pose. A leg moves that target towards its goal at a given speed, never
further than `MAX_LEAD` ahead of the measured TCP (a blocked arm must not wind the target up), and an integral
term takes out the 1-6 mm that the null-space inverse kinematics leaves.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wam.episodes.calvin_frame import POSITION_SCALE_M, ROTATION_SCALE_RAD

Vector = NDArray[np.float64]

GRIPPER_DOWN: Final = (np.pi, 0.0, np.pi / 2)
"""Euler angles of a gripper that points straight down and opens along world x."""
GRIPPER_FORWARD: Final = (np.pi, -0.6, np.pi / 2)
"""Tilted forward by 0.6 rad: a straight-down gripper cannot reach the raised switch."""
GRIPPER_ACROSS: Final = (np.pi, -0.5, np.pi / 2)
"""Tilted square to the door's knob, which stands out 30 degrees above the horizontal."""
OPEN: Final = 1.0
CLOSED: Final = -1.0

MAX_LEAD: Final = 0.045
"""Metres the target may be ahead of the measured TCP: about three steps of the fastest leg."""
MAX_TURN: Final = 0.04
"""Radians per step and Euler angle; below the 0.05 at which recorded labels are clipped."""
INTEGRAL_GAIN: Final = 0.15
MAX_BIAS: Final = 0.015
"""Metres; limit of the integral term."""
INTEGRAL_RANGE: Final = 0.03
"""Metres from the goal within which the integral term collects."""


@dataclass(frozen=True)
class Leg:
    """One straight piece of a path.

    Attributes:
        goal: (3,) world position (m) of the TCP.
        euler: Gripper orientation (rad).
        gripper: `OPEN` or `CLOSED`.
        tolerance: Distance (m) from the goal at which the leg is done.
        speed: Metres per control step.
        slope: With a slope, the TCP stays above a cone whose tip is the goal and which rises by `slope`
            metres per metre of horizontal distance: it comes down onto the goal instead of sideways.
        ceiling: Height (m, world) above which the cone does not lift.
        straight: Keep to the line from the goal before (a stroke), instead of heading for the goal.
        patience: Steps after which the leg is given up and counts as done.
        hold: Steps to stay after arriving.
    """

    goal: Vector
    euler: tuple[float, float, float] = GRIPPER_DOWN
    gripper: float = CLOSED
    tolerance: float = 0.012
    speed: float = 0.014
    slope: float | None = None
    ceiling: float = 0.56
    straight: bool = False
    patience: int = 60
    hold: int = 0


def wrapped(angle: Vector) -> Vector:
    """Angles mapped into [-pi, pi)."""
    turned: Vector = (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi
    return turned


class LegFollower:
    """Turns a sequence of legs into actions.

    Attributes:
        finished: Whether the last leg is done.
    """

    def __init__(self, legs: list[Leg]) -> None:
        self._legs = list(legs)
        self._index = 0
        self._steps = 0
        self._held = 0
        self._bias = np.zeros(3)
        self._origin = np.zeros(3)

    @property
    def finished(self) -> bool:
        """Whether the last leg is done."""
        return self._index >= len(self._legs)

    def act(self, robot_obs: Vector, target_pose: Vector) -> Vector:
        """The next action.

        Args:
            robot_obs: (15,) measured robot state.
            target_pose: (6,) the environment's accumulating target: xyz (m) and Euler angles (rad).

        Returns:
            (7,) relative action in [-1, 1]; it holds still when finished.
        """
        self._advance(robot_obs)
        leg = self._legs[min(self._index, len(self._legs) - 1)]
        self._steps += 1
        tcp = np.asarray(robot_obs[:3], np.float64)
        aim, deviation = self._aim(leg, tcp), leg.goal - tcp
        if leg.straight:
            along, deviation = self._split(leg, tcp)
            aim = _limited(along, MAX_LEAD) + deviation
        if np.linalg.norm(deviation) < INTEGRAL_RANGE:
            self._bias = np.clip(self._bias + INTEGRAL_GAIN * deviation, -MAX_BIAS, MAX_BIAS)
        wanted = tcp + (aim if leg.straight else _limited(aim, MAX_LEAD)) + self._bias
        move = _limited(wanted - target_pose[:3], leg.speed) / POSITION_SCALE_M
        turn = wrapped(np.asarray(leg.euler) - target_pose[3:6])
        turn = np.clip(turn, -MAX_TURN, MAX_TURN) / ROTATION_SCALE_RAD
        action: Vector = np.clip(np.concatenate([move, turn, [leg.gripper]]), -1.0, 1.0)
        return action

    def _aim(self, leg: Leg, tcp: Vector) -> Vector:
        """Vector from the TCP to the point to move to: the goal, or the cone above it."""
        error = leg.goal - tcp
        if leg.slope is None:
            return error
        beside = max(0.0, float(np.hypot(error[0], error[1])) - leg.tolerance)
        floor = max(leg.goal[2], min(leg.goal[2] + leg.slope * beside, leg.ceiling))
        return np.array([error[0], error[1], floor - tcp[2]])

    def _split(self, leg: Leg, tcp: Vector) -> tuple[Vector, Vector]:
        """What is left of a straight leg: along its line, and back to it."""
        line = leg.goal - self._origin
        direction = line / max(float(np.linalg.norm(line)), 1e-9)
        error = leg.goal - tcp
        along = float(error @ direction) * direction
        return along, error - along

    def _advance(self, robot_obs: Vector) -> None:
        while self._index < len(self._legs):
            leg = self._legs[self._index]
            if self._steps == 0:
                self._origin = self._legs[self._index - 1].goal if self._index else np.array(robot_obs[:3])
            arrived = float(np.linalg.norm(leg.goal - robot_obs[:3])) < leg.tolerance
            if not arrived and self._steps < leg.patience:
                return
            if arrived and self._held < leg.hold:
                self._held += 1
                return
            self._index += 1
            self._steps = self._held = 0
            self._bias = np.zeros(3)


def _limited(vector: Vector, length: float) -> Vector:
    norm = float(np.linalg.norm(vector))
    shorter: Vector = vector if norm <= length else vector * (length / norm)
    return shorter
