"""CALVIN's 15-d robot state to the 18-d proprio vector: Euler angles become six rotation numbers."""

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ROBOT_OBS_DIM
from wam.episodes.rotation import RotationConvention, euler_to_rot6d


def proprio_from_robot_obs(
    robot_obs: NDArray[np.floating], convention: RotationConvention = "extrinsic"
) -> NDArray[np.float32]:
    """Proprio vector of robot states.

    Args:
        robot_obs: ``(..., 15)``: TCP xyz (m), Euler xyz (rad), gripper width (m), seven joints (rad), gripper
            action (-1 or +1).
        convention: How the Euler angles are read.

    Returns:
        ``(..., 18)`` float32: TCP xyz, six rotation numbers, gripper width, seven joints, gripper action.

    Raises:
        ValueError: If the last axis is not 15 long.
    """
    values = np.asarray(robot_obs, np.float64)
    if values.ndim == 0 or values.shape[-1] != ROBOT_OBS_DIM:
        raise ValueError(f"robot_obs has {ROBOT_OBS_DIM} values on its last axis, got shape {values.shape}")
    parts = (values[..., :3], euler_to_rot6d(values[..., 3:6], convention), values[..., 6:])
    return np.concatenate(parts, axis=-1).astype(np.float32)
