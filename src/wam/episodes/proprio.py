"""CALVIN's 15-d robot state to the 18-d proprio vector and back: Euler angles become six rotation numbers."""

import numpy as np
from numpy.typing import NDArray

from wam.contracts import PROPRIO_DIM, ROBOT_OBS_DIM
from wam.episodes.rotation import RotationConvention, euler_to_rot6d, rot6d_to_euler


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


def robot_obs_from_proprio(
    proprio: NDArray[np.floating], convention: RotationConvention = "extrinsic"
) -> NDArray[np.float64]:
    """Robot states ``(..., 15)`` of proprio vectors ``(..., 18)``, to float32 accuracy.

    Raises:
        ValueError: If the last axis is not 18 long.
    """
    values = np.asarray(proprio, np.float64)
    if values.ndim == 0 or values.shape[-1] != PROPRIO_DIM:
        raise ValueError(f"proprio has {PROPRIO_DIM} values on its last axis, got shape {values.shape}")
    parts = (values[..., :3], rot6d_to_euler(values[..., 3:9], convention), values[..., 9:])
    return np.concatenate(parts, axis=-1)
