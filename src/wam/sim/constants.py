"""Published numbers of the CALVIN environment, scene D: calvin_env's configuration, and measurements."""

from typing import Final

from wam.contracts import CONTROL_HZ
from wam.tasks.table import DRAWER, JOINT_LIMITS, SLIDER

PHYSICS_HZ: Final = 240
"""Physics steps per second."""
PHYSICS_STEPS_PER_ACTION: Final = PHYSICS_HZ // CONTROL_HZ
GRAVITY: Final = -9.8
"""m/s^2 along z."""

ROBOT_BASE: Final = (-0.34, -0.46, 0.24)
"""World position of the arm's base (m)."""
PEDESTAL_RADIUS: Final = 0.13
"""m."""
ARM_FORCE: Final = 200.0
"""Motor force limit of each arm joint (N m)."""
ARM_MAX_VELOCITY: Final = 2.0
"""rad/s."""
FINGER_OPEN: Final = 0.04
"""Joint position of one finger when open (m)."""
FINGER_OPEN_FORCE: Final = 2.0
"""N."""
FINGER_CLOSE_FORCE: Final = 200.0
"""N."""
FINGER_MAX_VELOCITY: Final = 1.0
"""m/s."""
GEAR_RATIO: Final = -1.0
GEAR_ERP: Final = 0.1
GEAR_MAX_FORCE: Final = 50.0

ARM_LOWER: Final = (-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973)
"""Soft joint limits (rad)."""
ARM_UPPER: Final = (2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973)
ARM_REST: Final = (-1.21779206, 1.03987646, 2.11978261, -2.34205014, -0.87015947, 1.64119353, 0.55344866)
"""Initial joints (rad), also the rest pose of the null-space inverse kinematics."""
IK_LIMIT: Final = 7.0
"""Lower (negative), upper limit and range the null-space inverse kinematics is given for every joint."""

FURNITURE_FORCE: Final = 4.0
"""Motor force that brakes slide, drawer and switch and springs the button back (N)."""
SWITCH_TRIGGER: Final = 0.044
"""Switch position (m) above which the bulb is lit: the middle of its range."""
BUTTON_TRIGGER: Final = 0.010
"""Button position (m) whose rising edge toggles the LED: the middle of its range."""

SLIDE_LIMITS: Final = JOINT_LIMITS[SLIDER]
DRAWER_LIMITS: Final = JOINT_LIMITS[DRAWER]
BUTTON_LIMITS: Final = (0.0, 0.020)
SWITCH_LIMITS: Final = (0.0, 0.088)
"""Joint ranges (m)."""

BLOCK_SIZES: Final = ((0.056, 0.04, 0.04), (0.04, 0.04, 0.04), (0.08, 0.04, 0.04))
"""Edge lengths (m) of the red, blue and pink block: the order of `scene_obs` in scene D."""
BLOCK_NAMES: Final = ("block_red", "block_blue", "block_pink")
BLOCK_SPOTS: Final = ((0.05, -0.12, 0.46), (0.23, -0.12, 0.46), (0.10, 0.08, 0.46))
"""Where the blocks of the published evaluation scene lie (m): apart from each other."""
BLOCK_MASS: Final = 1.0
"""kg."""

STATIC_EYE: Final = (2.871459009488717, -2.166602199425597, 2.555159848480571)
STATIC_TARGET: Final = (-0.026242351159453392, -0.0302329882979393, 0.3920000493526459)
STATIC_UP: Final = (0.4041403970338857, 0.22629790978217404, 0.8862616969685161)
STATIC_FOV: Final = 10.0
"""Degrees, vertical."""
STATIC_NEAR_FAR: Final = (0.01, 10.0)
GRIPPER_FOV: Final = 75.0
GRIPPER_NEAR_FAR: Final = (0.01, 2.0)
"""m."""
