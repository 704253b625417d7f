"""Random starts: a scene in which a task is possible, the arm somewhere above the table, a layout."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ROBOT_OBS_DIM, SCENE_STATE_DIM
from wam.sim import constants as c
from wam.sim import geometry as g
from wam.sim.config import SimConfig
from wam.sim.kinematics import matrix_to_euler, solve_joints, tcp_pose
from wam.sim.layout import FIXED_LAYOUT, Layout, sample_layout
from wam.sim.waypoints import GRIPPER_DOWN
from wam.tasks.starts import Start
from wam.tasks.table import task as find_task

SLIDE_STARTS: Final = {"move_slider_left": (0.0, 0.10), "move_slider_right": (0.18, 0.28)}
"""Slide positions (m) with 3 cm more room than the 0.15 m that the oracle asks for."""
DRAWER_STARTS: Final = {"open_drawer": (0.0, 0.08), "close_drawer": (0.14, 0.22)}
"""Drawer positions (m) with 2 cm more room than the 0.12 m that the oracle asks for."""
SWITCH_DOWN: Final = (0.0, 0.02)
SWITCH_UP: Final = (0.068, 0.088)
"""Switch positions (m) clearly on one side of the trigger at 0.044 m."""

TCP_BOX: Final = ((-0.22, 0.30), (-0.34, -0.10), (0.54, 0.66))
"""Where the TCP may start (m): above blocks and button, in front of the door, clear of every handle."""
TILT: Final = 0.12
"""Largest Euler deviation (rad) of the hand from pointing straight down."""

BLOCK_AREA: Final = ((-0.33, 0.38), (-0.15, -0.085))
"""x and y (m) of block centres: the front of the table, clear of door, switch and their handles."""
BLOCK_CLEARANCE: Final = 0.105
"""Least distance (m) between block centres, and from a block to the button's centre."""


def sample_start(config: SimConfig, rng: np.random.Generator, task: str | None = None) -> Start:
    """Draw a start from `rng` alone.

    Openings are continuous. With a task, its own quantity is drawn where the oracle can still be satisfied
    with room to spare; everything else is free.

    Args:
        config: Decides whether the layout is CALVIN's or drawn.
        rng: Source of all randomness.
        task: Task that must be possible, or None for any scene.

    Raises:
        ValueError: If the task is unknown.
    """
    layout = sample_layout(rng) if config.layout == "varied" else FIXED_LAYOUT
    scene = _sample_scene(layout, rng, None if task is None else find_task(task).name)
    recorded = None if config.assets == "calvin" else layout.to_array()
    return Start(robot_obs=_sample_robot(rng), scene_state=scene, layout=recorded)


def _sample_scene(layout: Layout, rng: np.random.Generator, task: str | None) -> NDArray[np.float64]:
    state = np.zeros(SCENE_STATE_DIM)
    state[0] = rng.uniform(*SLIDE_STARTS.get(task or "", c.SLIDE_LIMITS))
    state[1] = rng.uniform(*DRAWER_STARTS.get(task or "", c.DRAWER_LIMITS))
    bulb = {"turn_on_lightbulb": False, "turn_off_lightbulb": True}.get(task or "", bool(rng.integers(2)))
    led = {"turn_on_led": False, "turn_off_led": True}.get(task or "", bool(rng.integers(2)))
    state[3] = rng.uniform(*(SWITCH_UP if bulb else SWITCH_DOWN))
    state[4], state[5] = bulb, led
    for i, (x, y) in enumerate(_sample_block_centers(layout, rng)):
        yaw = rng.uniform(-np.pi, np.pi)
        height = g.TABLE_TOP + c.BLOCK_SIZES[i][2] / 2
        state[6 + 6 * i : 12 + 6 * i] = [x, y, height, 0.0, 0.0, yaw]
    return state


def _sample_block_centers(layout: Layout, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    button = np.array([layout.button_x, layout.button_y])
    low, high = np.array(BLOCK_AREA).T
    while True:
        centers = [rng.uniform(low, high) for _ in c.BLOCK_SIZES]
        points = [button, *centers]
        gaps = [float(np.linalg.norm(a - b)) for i, a in enumerate(points) for b in points[:i]]
        if min(gaps) >= BLOCK_CLEARANCE:
            return centers


def _sample_robot(rng: np.random.Generator) -> NDArray[np.float64]:
    low, high = np.array(TCP_BOX).T
    while True:
        position = rng.uniform(low, high)
        euler = np.array(GRIPPER_DOWN) + rng.uniform(-TILT, TILT, size=3)
        joints = solve_joints(position, euler)
        if joints is not None:  # rounded, so that no machine's last digit decides
            return _robot_obs(np.round(joints, 9), is_open=bool(rng.integers(2)))


def _robot_obs(joints: NDArray[np.float64], *, is_open: bool) -> NDArray[np.float64]:
    position, rotation = tcp_pose(joints)
    state = np.zeros(ROBOT_OBS_DIM)
    state[:3], state[3:6] = position, matrix_to_euler(rotation)
    state[6] = 2 * c.FINGER_OPEN if is_open else 0.0
    state[7:14] = joints
    state[14] = 1.0 if is_open else -1.0
    return state
