"""Euler angles to the six-dimensional rotation of the proprio vector.

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
