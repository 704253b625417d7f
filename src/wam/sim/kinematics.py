"""Forward and inverse kinematics of the Franka in plain NumPy, for drawing arm poses without a simulator.

Joint origins are those of Franka's published URDF; angles in rad, lengths in metres, world frame.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wam.sim import constants as c

Matrix = NDArray[np.float64]

_JOINTS: Final = (
    ((0.0, 0.0, 0.333), 0.0),
    ((0.0, 0.0, 0.0), -math.pi / 2),
    ((0.0, -0.316, 0.0), math.pi / 2),
    ((0.0825, 0.0, 0.0), math.pi / 2),
    ((-0.0825, 0.384, 0.0), -math.pi / 2),
    ((0.0, 0.0, 0.0), math.pi / 2),
    ((0.088, 0.0, 0.0), math.pi / 2),
)
"""Origin and roll of each joint frame in its parent; every joint turns about its own z axis."""
_TCP_Z: Final = 0.107 + 0.14
"""Flange and TCP offsets along z of the last link."""
_HAND_YAW: Final = -math.pi / 4


def _frame(xyz: tuple[float, float, float], roll: float, yaw: float) -> Matrix:
    cr, sr, cy, sy = math.cos(roll), math.sin(roll), math.cos(yaw), math.sin(yaw)
    return np.array(
        [[cy, -sy, 0, xyz[0]], [cr * sy, cr * cy, -sr, xyz[1]], [sr * sy, sr * cy, cr, xyz[2]], [0, 0, 0, 1]]
    )


def _chain(joints: NDArray[np.float64]) -> tuple[list[Matrix], Matrix]:
    pose = np.eye(4)
    pose[:3, 3] = c.ROBOT_BASE
    frames = []
    for (xyz, roll), angle in zip(_JOINTS, joints.tolist(), strict=True):
        pose = pose @ _frame(xyz, roll, angle)
        frames.append(pose)
    return frames, pose @ _frame((0.0, 0.0, _TCP_Z), 0.0, _HAND_YAW)


def tcp_pose(joints: NDArray[np.float64]) -> tuple[NDArray[np.float64], Matrix]:
    """TCP position (3,) and rotation matrix (3, 3) for seven joint angles."""
    pose = _chain(joints)[1]
    return pose[:3, 3], pose[:3, :3]


def euler_to_matrix(euler: NDArray[np.float64]) -> Matrix:
    """Rotation matrix of fixed-axis xyz angles, R = Rz Ry Rx (PyBullet's convention).

    Written out: the product of three in `episodes.rotation` differs in last digits, and drawn starts are to
    stay the same to the bit.
    """
    cx, cy, cz = np.cos(euler)
    sx, sy, sz = np.sin(euler)
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


def matrix_to_euler(rotation: Matrix) -> NDArray[np.float64]:
    """Fixed-axis xyz angles of a rotation matrix, away from pitch +-90 degrees."""
    pitch = math.asin(max(-1.0, min(1.0, -float(rotation[2, 0]))))
    roll = math.atan2(rotation[2, 1], rotation[2, 2])
    yaw = math.atan2(rotation[1, 0], rotation[0, 0])
    return np.array([roll, pitch, yaw])


def _rotation_error(wanted: Matrix, got: Matrix) -> NDArray[np.float64]:
    error: NDArray[np.float64] = 0.5 * np.cross(got, wanted, axis=0).sum(axis=1)
    return error


def solve_joints(
    position: NDArray[np.float64],
    euler: NDArray[np.float64],
    *,
    iterations: int = 60,
    tolerance: float = 1e-3,
) -> NDArray[np.float64] | None:
    """Joint angles (7,) near the rest pose that bring the TCP to a pose, or None if it is out of reach.

    Damped least squares with the rest pose as a null-space preference, from the rest pose.

    Args:
        position: TCP position (3,) in m.
        euler: TCP Euler angles xyz (3,) in rad.
        iterations: Most steps to try.
        tolerance: Largest accepted error, m and rad.
    """
    rest, wanted = np.array(c.ARM_REST), euler_to_matrix(euler)
    low, high = np.array(c.ARM_LOWER), np.array(c.ARM_UPPER)
    joints = rest.copy()
    for _ in range(iterations):
        frames, tcp = _chain(joints)
        error = np.concatenate([position - tcp[:3, 3], _rotation_error(wanted, tcp[:3, :3])])
        if np.abs(error).max() < tolerance:
            return joints
        axes = np.array([frame[:3, 2] for frame in frames])
        arms = tcp[:3, 3] - np.array([frame[:3, 3] for frame in frames])
        jacobian = np.concatenate([np.cross(axes, arms).T, axes.T])
        inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + 1e-4 * np.eye(6))
        step = inverse @ error + (np.eye(7) - inverse @ jacobian) @ (0.1 * (rest - joints))
        joints = np.clip(joints + np.clip(step, -0.3, 0.3), low, high)
    return None
