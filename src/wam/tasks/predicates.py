"""Success and feasibility of a task as pure functions of scene states.

The rules are CALVIN's oracle for the eight tasks (its ``get_task_info`` for doors and lights): a strict
comparison of the scene at the end with the scene at the start.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wam.contracts import SCENE_STATE_DIM
from wam.tasks.table import JOINT_LIMITS, LIGHT_ON, TASKS, Task


def _scene(values: ArrayLike) -> NDArray[np.float64]:
    scene = np.asarray(values, dtype=np.float64)
    if scene.ndim == 0 or scene.shape[-1] != SCENE_STATE_DIM:
        raise ValueError(
            f"a scene state has {SCENE_STATE_DIM} values on its last axis, got shape {scene.shape}"
        )
    return scene


def succeeded(task: Task, start: ArrayLike, end: ArrayLike) -> NDArray[np.bool_]:
    """Whether ``task`` was done between two scene states.

    Args:
        task: The task.
        start: Scene state at the start of the attempt, ``(..., 24)``.
        end: Scene state to judge, ``(..., 24)``; leading axes broadcast against those of ``start``.

    Returns:
        Boolean array of the broadcast leading shape.

    Raises:
        ValueError: If the last axis is not 24 long.
    """
    before = _scene(start)[..., task.quantity]
    after = _scene(end)[..., task.quantity]
    if task.is_light:
        wanted = task.delta > 0
        return np.asarray(((before > LIGHT_ON) != wanted) & ((after > LIGHT_ON) == wanted))
    change = after - before
    return np.asarray(change > task.delta if task.delta > 0 else change < task.delta)


def solved_matrix(start: ArrayLike, end: ArrayLike) -> NDArray[np.bool_]:
    """Success of every task at once.

    Args:
        start: Scene states, ``(..., 24)``.
        end: Scene states, ``(..., 24)``.

    Returns:
        Boolean array ``(..., 8)``, tasks in the order of the table.
    """
    return np.stack([succeeded(row, start, end) for row in TASKS.values()], axis=-1)


def is_feasible(task: Task, scene: ArrayLike, *, margin: float = 0.0) -> NDArray[np.bool_]:
    """Whether ``task`` can still be done from a scene, given the joint limits.

    A drawer open by 0.12 m or less cannot be closed by the oracle's rule, a lit LED cannot be turned on.

    Args:
        task: The task.
        scene: Scene state, ``(..., 24)``.
        margin: Travel (m) that must remain beyond the threshold; ignored for lights.

    Returns:
        Boolean array of the leading shape.
    """
    value = _scene(scene)[..., task.quantity]
    if task.is_light:
        return np.asarray((value > LIGHT_ON) != (task.delta > 0))
    low, high = JOINT_LIMITS[task.quantity]
    reach = high - value if task.delta > 0 else value - low
    return np.asarray(reach > abs(task.delta) + margin)
