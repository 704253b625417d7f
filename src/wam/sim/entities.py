"""The things of the table that move or light up: sliding joints, button, switch, lights, blocks."""

import numpy as np
import pybullet
from numpy.typing import NDArray

from wam.sim import constants as c
from wam.sim.client import Client


class SlidingJoint:
    """One prismatic joint of the table that cannot be pushed out of its range.

    PyBullet's own limits only stop motion: a joint that is already outside stays there. `enforce` puts it
    back and takes the outward speed away, unless the joint is `free`.
    """

    def __init__(
        self,
        client: Client,
        body: int,
        joint: int,
        limits: tuple[float, float],
        *,
        springs: bool,
        free: bool = False,
    ) -> None:
        self._client = client
        self._body = body
        self.joint = joint
        self.limits = limits
        self._springs = springs
        self._free = free

    def reset(self, position: float) -> None:
        """Stand still at `position` (m), clipped to the range unless free, with the published motor."""
        low, high = self.limits
        within = position if self._free else min(max(position, low), high)
        self._client.resetJointState(self._body, self.joint, within, 0.0)
        if self._springs:
            self._client.setJointMotorControl2(
                self._body, self.joint, pybullet.POSITION_CONTROL, targetPosition=0.0, force=c.FURNITURE_FORCE
            )
        else:
            self._client.setJointMotorControl2(
                self._body, self.joint, pybullet.VELOCITY_CONTROL, targetVelocity=0.0, force=c.FURNITURE_FORCE
            )

    def enforce(self, position: float, velocity: float) -> None:
        """Bring the joint back if the measured `position` (m) is outside its range."""
        low, high = self.limits
        if position < low:
            self._client.resetJointState(self._body, self.joint, low, max(velocity, 0.0))
        elif position > high:
            self._client.resetJointState(self._body, self.joint, high, min(velocity, 0.0))


class Light:
    """A link of the table that changes its colour."""

    def __init__(
        self,
        client: Client,
        body: int,
        link: int,
        *,
        off: tuple[float, float, float],
        on: tuple[float, float, float],
    ) -> None:
        self._client = client
        self._body = body
        self._link = link
        self._colors = (off, on)
        self.is_on = False

    def set(self, is_on: bool) -> None:
        """Switch and repaint."""
        self.is_on = is_on
        color = (*self._colors[int(is_on)], 1.0)
        self._client.changeVisualShape(self._body, self._link, rgbaColor=color)


class Trigger:
    """Whether a joint is beyond its threshold, and whether that has just changed."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.is_active = False

    def reset(self, position: float) -> None:
        """Take the state that belongs to `position`, without an event."""
        self.is_active = position > self._threshold

    def update(self, position: float) -> bool:
        """Take the new position (m); True if the trigger has just gone on or off."""
        before, self.is_active = self.is_active, position > self._threshold
        return before != self.is_active


class Block:
    """A loose box."""

    def __init__(self, client: Client, body: int) -> None:
        self._client = client
        self.body = body

    def reset(self, pose: NDArray[np.float64]) -> None:
        """Lie still at `pose` (6,): xyz (m) and Euler xyz (rad)."""
        quaternion = pybullet.getQuaternionFromEuler(pose[3:].tolist())
        self._client.resetBasePositionAndOrientation(self.body, pose[:3].tolist(), quaternion)

    def pose(self) -> NDArray[np.float64]:
        """Position (m) and Euler angles xyz (rad), shape (6,)."""
        position, quaternion = self._client.getBasePositionAndOrientation(self.body)
        return np.array([*position, *pybullet.getEulerFromQuaternion(quaternion)])
