"""Two rules for who acts on play tables: what the robot executes, and who has succeeded.

Exempt from the first are scripted experts and play: what they command is executable as it is, in double
precision. Exempt from the second, so judged by scene states whatever the table says, are

- play: a try begins in the midst of an episode, and a table's own oracle compares with the reset;
- labels of expert segments and near misses: they are to be the same rule on scenes that a simulator replayed
  and on recorded ones, of which no verdict was kept.
"""

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM
from wam.sim.frames import SimFrames
from wam.tasks.predicates import succeeded
from wam.tasks.table import TASK_NAMES, Task


def to_executable(action: NDArray[np.floating]) -> NDArray[np.float32]:
    """The action that the robot executes: gripper >= 0 opens (+1), else closes (-1); the rest clipped.

    Args:
        action: (..., 7) relative actions of a policy.

    Returns:
        (..., 7) float32 in [-1, 1], gripper exactly -1 or +1.

    Raises:
        ValueError: If the last axis is not 7 long or a value is not finite.
    """
    if action.ndim < 1 or action.shape[-1] != ACTION_DIM:
        raise ValueError(f"an action has {ACTION_DIM} values on its last axis, got shape {action.shape}")
    if not np.isfinite(action).all():
        raise ValueError(
            f"the policy gave actions that are not finite: {action[~np.isfinite(action).all(-1)][:1]}"
        )
    executable = np.clip(action, -1.0, 1.0).astype(np.float32)
    executable[..., -1] = np.where(action[..., -1] >= 0, 1.0, -1.0)
    return np.asarray(executable, np.float32)


def judged(task: Task, origin: NDArray[np.float64], frames: SimFrames) -> NDArray[np.bool_]:
    """Who has solved the task (n,): by the simulator's own oracle where it has one, else by scene states.

    Args:
        task: The task.
        origin: (n, 24) scene states right after each table's reset.
        frames: What the n tables show now.
    """
    if frames.solved is not None:
        return frames.solved[:, TASK_NAMES.index(task.name)]
    return succeeded(task, origin, frames.scene_state)
