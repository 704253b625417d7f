"""Random scenes that imagination starts from: our own draw, or the published one with its fault.

The published draw (docs/published.md, PPO) places drawer, slider, switch and lights by the task, on CALVIN's
fixed table, and the arm by inverse kinematics, which it gives the position of the first sample for every
scene (fault B7): scenes differ in the orientation of the hand, in furniture and blocks, never in where the
hand is.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ROBOT_OBS_DIM, SCENE_STATE_DIM
from wam.sim import constants as c
from wam.sim.config import SimConfig
from wam.sim.kinematics import solve_joints, tcp_pose
from wam.sim.layout import FIXED_LAYOUT
from wam.sim.starts import sample_start
from wam.sim.waypoints import GRIPPER_DOWN
from wam.tasks.starts import Start
from wam.tasks.table import BUTTON, DRAWER, LED, LIGHTBULB, SLIDER, SWITCH

SceneDraw = Literal["own", "published"]
"""Whose distribution of scenes."""

Vector = NDArray[np.float64]

SURFACES: Final = (
    ((0.0, -0.15), (0.35, -0.03)),
    ((-0.32, 0.05), (-0.16, 0.12)),
    ((-0.05, 0.05), (0.13, 0.12)),
)
"""x and y (m), lowest and highest, of where CALVIN puts blocks: table, shelf left and right of the slider."""
BLOCK_Z: Final = 0.46
IN_DRAWER: Final = ((0.15, -0.30), (0.25, -0.25))
"""x and y (m) of a block in an open drawer."""
IN_DRAWER_Z: Final = 0.37
BLOCK_GAP: Final = 0.08
"""Least distance (m) between block centres: the longest block's edge, so that none touch."""


def sample_scenes(
    simulator: SimConfig, rng: np.random.Generator, task: str, count: int, draw: SceneDraw
) -> list[Start]:
    """Scenes in which a task is possible.

    Args:
        simulator: Decides whether the layout is fixed; the published draw knows no other.
        rng: Source of all randomness.
        task: The task.
        count: Scenes.
        draw: Whose distribution.

    Raises:
        ValueError: If the published draw is asked for a table that varies.
    """
    if draw == "own":
        return [sample_start(simulator, rng, task) for _ in range(count)]
    if simulator.layout == "varied":
        raise ValueError(
            "imagination_starts.draw 'published' knows CALVIN's fixed table only; set simulator.layout to "
            "fixed"
        )
    position = _reachable_position(rng)
    layout = None if simulator.assets == "calvin" else FIXED_LAYOUT.to_array()
    return [Start(_arm(position, rng), _scene(task, rng), layout) for _ in range(count)]


def _reachable_position(rng: np.random.Generator) -> Vector:
    while True:
        position = _position(rng)
        if solve_joints(position, np.array(GRIPPER_DOWN)) is not None:
            return position


def _position(rng: np.random.Generator) -> Vector:
    x = rng.uniform(-0.3, 0.3) if rng.random() < 0.75 else rng.uniform(-0.1, 0.25)
    y = rng.uniform(-0.15, 0.0) if rng.random() < 0.75 else rng.uniform(-0.3, -0.15)
    return np.array([x, y, rng.uniform(0.5, 0.575)])


def _arm(position: Vector, rng: np.random.Generator) -> Vector:
    """An open gripper at a position; orientations out of reach are drawn again."""
    while True:
        roll = rng.uniform(3.0, 3.14) if rng.random() < 0.8 else rng.uniform(-3.14, -3.0)
        euler = np.array([roll, rng.normal(-0.1, 0.1), rng.normal(1.57, 0.1)])
        joints = solve_joints(position, euler)
        if joints is not None:
            break
    joints = np.round(joints, 9)
    state = np.zeros(ROBOT_OBS_DIM)
    state[:3], state[3:6] = tcp_pose(joints)[0], euler
    state[6], state[7:14], state[14] = 2 * c.FINGER_OPEN, joints, 1.0
    return state


def _scene(task: str, rng: np.random.Generator) -> Vector:
    state = np.zeros(SCENE_STATE_DIM)
    state[SLIDER] = _slider(task, rng)
    state[DRAWER] = _drawer(task, rng)
    state[BUTTON] = 0.0
    state[LIGHTBULB] = _light("lightbulb", task, rng)
    state[SWITCH] = 0.088 * state[LIGHTBULB]
    state[LED] = _light("led", task, rng)
    state[6:] = _blocks(rng, drawer_is_open=state[DRAWER] > 0.0)
    return state


def _slider(task: str, rng: np.random.Generator) -> float:
    values: Sequence[float] = (0.0, 0.25, 0.28)
    shares: Sequence[float] = (0.5, 0.1, 0.4)
    if task == "move_slider_left":
        values, shares = (0.0, 0.02), (0.8, 0.2)
    elif task == "move_slider_right":
        values, shares = (0.25, 0.26, 0.28), (0.2, 0.2, 0.6)
    return float(rng.choice(values, p=shares))


def _drawer(task: str, rng: np.random.Generator) -> float:
    if task == "open_drawer":
        return 0.0
    if task == "close_drawer":
        return float(rng.uniform(0.19, 0.22))
    return float(rng.choice((0.0, 0.19, 0.22), p=(0.2, 0.4, 0.4)))


def _light(light: str, task: str, rng: np.random.Generator) -> float:
    if task == f"turn_on_{light}":
        return 0.0
    if task == f"turn_off_{light}":
        return 1.0
    return float(rng.integers(2))


def _blocks(rng: np.random.Generator, *, drawer_is_open: bool) -> Vector:
    """Poses of the three blocks, flat: xyz (m) and Euler angles (rad)."""
    while True:
        spots = [rng.uniform(*SURFACES[rng.integers(len(SURFACES))]) for _ in c.BLOCK_NAMES]
        gaps = [float(np.linalg.norm(a - b)) for i, a in enumerate(spots) for b in spots[:i]]
        if min(gaps) >= BLOCK_GAP:
            break
    poses = [np.array([*spot, BLOCK_Z, 0.0, 0.0, rng.uniform(-np.pi, np.pi)]) for spot in spots]
    if drawer_is_open:
        inside = poses[rng.integers(len(poses))]
        inside[:2], inside[2] = rng.uniform(*IN_DRAWER), IN_DRAWER_Z
    return np.concatenate(poses)
