"""The Franka arm: accumulating target pose, null-space inverse kinematics, position motors."""

from typing import Final

import numpy as np
import pybullet
from numpy.typing import NDArray

from wam.episodes.calvin_frame import POSITION_SCALE_M, ROTATION_SCALE_RAD
from wam.sim import constants as c
from wam.sim.assets.source import Assets
from wam.sim.client import Client

_DOF: Final = 9
"""Seven arm joints and two fingers."""
_NULL_SPACE: Final = {
    "lowerLimits": [-c.IK_LIMIT] * _DOF,
    "upperLimits": [c.IK_LIMIT] * _DOF,
    "jointRanges": [c.IK_LIMIT] * _DOF,
    "restPoses": [*c.ARM_REST, c.FINGER_OPEN, c.FINGER_OPEN],
}


class Robot:
    """One arm in one client.

    Attributes:
        body: PyBullet's body id.
        still: Links that never move, with their body.
        target: Pose that relative actions add up to, xyz (m) and Euler xyz (rad), shape (6,). It is not
            clamped: a blocked arm winds it up, as in CALVIN.
        gripper_action: Last gripper command, -1 (close) or +1 (open).
    """

    def __init__(self, client: Client, assets: Assets) -> None:
        self._client = client
        self.body: int = client.loadURDF(
            str(assets.robot()), basePosition=c.ROBOT_BASE, baseOrientation=(0, 0, 0, 1), useFixedBase=True
        )
        self.still = [(self.body, -1)]
        self._published_build = assets.manner.published_build
        if assets.manner.pedestal:
            self._make_pedestal()
        self._arm, self._fingers = self._find_joints()
        links = self._find_links()
        self.tcp_link = links["tcp"]
        self.camera_link = links["gripper_cam"]
        self._couple_fingers()
        self.target: NDArray[np.float64] = np.zeros(6)
        self.gripper_action = 1.0
        if self._published_build:
            self.reset(np.array(c.ARM_REST), 2 * c.FINGER_OPEN, 1.0)

    def _find_joints(self) -> tuple[list[int], list[int]]:
        arm, fingers = [], []
        for i in range(self._client.getNumJoints(self.body)):
            kind = self._client.getJointInfo(self.body, i)[2]
            if kind == pybullet.JOINT_REVOLUTE:
                arm.append(i)
            elif kind == pybullet.JOINT_PRISMATIC:
                fingers.append(i)
        if len(arm) != 7 or len(fingers) != 2:
            raise ValueError(
                f"the robot must have 7 revolute and 2 prismatic joints, got {len(arm)}, {len(fingers)}"
            )
        return arm, fingers

    def _find_links(self) -> dict[str, int]:
        count = self._client.getNumJoints(self.body)
        return {self._client.getJointInfo(self.body, i)[12].decode(): i for i in range(count)}

    def _couple_fingers(self) -> None:
        gear = self._client.createConstraint(
            self.body,
            self._fingers[0],
            self.body,
            self._fingers[1],
            pybullet.JOINT_GEAR,
            (1, 0, 0),
            (0, 0, 0),
            (0, 0, 0),
        )
        self._client.changeConstraint(gear, gearRatio=c.GEAR_RATIO, erp=c.GEAR_ERP, maxForce=c.GEAR_MAX_FORCE)

    def _make_pedestal(self) -> None:
        """What is seen under the arm, 5 cm behind its middle; nothing touches it."""
        x, y, height = c.ROBOT_BASE
        shape = self._client.createVisualShape(
            pybullet.GEOM_CYLINDER,
            radius=c.PEDESTAL_RADIUS,
            length=height,
            rgbaColor=(1, 1, 1, 1),
            visualFramePosition=(x - 0.05, y, height / 2),
        )
        self._client.createMultiBody(baseVisualShapeIndex=shape)

    def reset(self, joints: NDArray[np.float64], width: float, gripper_action: float) -> None:
        """Put the arm at `joints` (7,) at rest, the fingers `width` (m) apart, and hold it there."""
        for index, angle in zip(self._arm, joints.tolist(), strict=True):
            self._client.resetJointState(self.body, index, angle, 0.0)
        for index in self._fingers:
            self._client.resetJointState(self.body, index, width / 2, 0.0)
        self.gripper_action = 1.0 if gripper_action > 0 else -1.0
        self._hold(joints.tolist())
        if self._published_build:
            self._move_fingers(width / 2, c.FINGER_CLOSE_FORCE)
        position, euler = self.tcp_pose()
        self.target = np.concatenate([position, euler])

    def act(self, action: NDArray[np.float64]) -> None:
        """Add a relative action (7,) in [-1, 1] to the target and send the motors there."""
        self.target = self.target + np.concatenate(
            [action[:3] * POSITION_SCALE_M, action[3:6] * ROTATION_SCALE_RAD]
        )
        self.gripper_action = 1.0 if action[6] > 0 else -1.0
        self._hold(self._joints_for(self.target))

    def _joints_for(self, pose: NDArray[np.float64]) -> list[float]:
        quaternion = pybullet.getQuaternionFromEuler(pose[3:].tolist())
        solution = self._client.calculateInverseKinematics(
            self.body, self.tcp_link, pose[:3].tolist(), quaternion, **_NULL_SPACE
        )
        return [
            min(max(q, low), high)
            for q, low, high in zip(solution[:7], c.ARM_LOWER, c.ARM_UPPER, strict=True)
        ]

    def _hold(self, joints: list[float]) -> None:
        for index, angle in zip(self._arm, joints, strict=True):
            self._client.setJointMotorControl2(
                self.body,
                index,
                pybullet.POSITION_CONTROL,
                targetPosition=angle,
                force=c.ARM_FORCE,
                maxVelocity=c.ARM_MAX_VELOCITY,
            )
        if self.gripper_action > 0:
            self._move_fingers(c.FINGER_OPEN, c.FINGER_OPEN_FORCE)
        else:
            self._move_fingers(0.0, c.FINGER_CLOSE_FORCE)

    def _move_fingers(self, position: float, force: float) -> None:
        for index in self._fingers:
            self._client.setJointMotorControl2(
                self.body,
                index,
                pybullet.POSITION_CONTROL,
                targetPosition=position,
                force=force,
                maxVelocity=c.FINGER_MAX_VELOCITY,
            )

    def tcp_pose(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measured TCP position (3,) in m and Euler angles xyz (3,) in rad, world frame."""
        state = self._client.getLinkState(self.body, self.tcp_link)
        return np.array(state[0]), np.array(pybullet.getEulerFromQuaternion(state[1]))

    def observe(self) -> NDArray[np.float64]:
        """CALVIN's robot_obs, shape (15,): TCP xyz, Euler, gripper width, seven joints, gripper action."""
        position, euler = self.tcp_pose()
        states = self._client.getJointStates(self.body, [*self._arm, *self._fingers])
        joints = [state[0] for state in states]
        return np.array([*position, *euler, joints[7] + joints[8], *joints[:7], self.gripper_action])
