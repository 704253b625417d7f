"""Euler angles to the six-dimensional rotation of the proprio vector, and back.

The six numbers are the first two rows of the rotation matrix; the third row is their cross product (Zhou et
al., "On the continuity of rotation representations in neural networks", CVPR 2019).

Two conventions. PyBullet's, and therefore CALVIN's, Euler angles turn about fixed axes: R = Rz Ry Rx
(``extrinsic``, the true rotation). The published pipeline reads the same angles as R = Rx Ry Rz
(``intrinsic``; docs/published.md, fault B16): also invertible, but not the rotation of the gripper.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

RotationConvention = Literal["extrinsic", "intrinsic"]


def euler_to_matrix(euler: NDArray[np.floating], convention: RotationConvention) -> NDArray[np.float64]:
    """Rotation matrices ``(..., 3, 3)`` of Euler angles xyz ``(..., 3)`` in radians."""
    angles = np.asarray(euler, np.float64)
    (ca, cb, cg), (sa, sb, sg) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    zero, one = np.zeros_like(ca), np.ones_like(ca)
    about_x = _matrix([one, zero, zero, zero, ca, -sa, zero, sa, ca])
    about_y = _matrix([cb, zero, sb, zero, one, zero, -sb, zero, cb])
    about_z = _matrix([cg, -sg, zero, sg, cg, zero, zero, zero, one])
    if convention == "extrinsic":
        return about_z @ about_y @ about_x
    if convention == "intrinsic":
        return about_x @ about_y @ about_z
    raise ValueError(f"rotation convention must be 'extrinsic' or 'intrinsic', got {convention!r}")


def _matrix(entries: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(entries, axis=-1).reshape(*entries[0].shape, 3, 3)


def euler_to_rot6d(
    euler: NDArray[np.floating], convention: RotationConvention = "extrinsic"
) -> NDArray[np.float64]:
    """First two rows of the rotation matrix.

    Args:
        euler: Angles about x, y, z, ``(..., 3)``, radians.
        convention: See the top of this module.

    Returns:
        ``(..., 6)``, each in [-1, 1].

    Raises:
        ValueError: If the convention is unknown.
    """
    matrix = euler_to_matrix(euler, convention)
    return matrix[..., :2, :].reshape(*matrix.shape[:-2], 6)


def rot6d_to_euler(
    rot6d: NDArray[np.floating], convention: RotationConvention = "extrinsic"
) -> NDArray[np.float64]:
    """Euler angles of six numbers, which need not be orthonormal (Gram-Schmidt on the two rows).

    Args:
        rot6d: ``(..., 6)``, two rows that are not parallel.
        convention: See the top of this module.

    Returns:
        Angles about x, y, z, ``(..., 3)``, radians; the middle one in [-pi/2, pi/2].

    Raises:
        ValueError: If the convention is unknown.
    """
    rows = np.asarray(rot6d, np.float64)
    first = rows[..., :3] / np.linalg.norm(rows[..., :3], axis=-1, keepdims=True)
    second = rows[..., 3:] - (first * rows[..., 3:]).sum(-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    matrix = np.stack([first, second, np.cross(first, second)], axis=-2)
    if convention == "extrinsic":
        alpha = np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2])
        beta = np.arcsin(np.clip(-matrix[..., 2, 0], -1.0, 1.0))
        gamma = np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0])
    elif convention == "intrinsic":
        alpha = np.arctan2(-matrix[..., 1, 2], matrix[..., 2, 2])
        beta = np.arcsin(np.clip(matrix[..., 0, 2], -1.0, 1.0))
        gamma = np.arctan2(-matrix[..., 0, 1], matrix[..., 0, 0])
    else:
        raise ValueError(f"rotation convention must be 'extrinsic' or 'intrinsic', got {convention!r}")
    return np.stack([alpha, beta, gamma], axis=-1)
