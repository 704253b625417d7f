"""Where our play table's parts are and how large: the numbers behind the URDF, the layout and the experts.

World frame in metres, table at the origin, the robot stands on the -y side. Joint frames are CALVIN's.
The door and the switch lie on a plane that leans back by 30 degrees: `SLANT` points up along it and
`NORMAL` out of it, towards the robot.
"""

from typing import Final

import numpy as np

SLANT: Final = np.array([0.0, 0.5, 0.75**0.5])
NORMAL: Final = np.array([0.0, -(0.75**0.5), 0.5])

TABLE_TOP: Final = 0.44
TABLE_HALF_X: Final = 0.44
TABLE_FRONT: Final = -0.18
TABLE_BACK: Final = 0.18
WALL_TOP: Final = 0.648

BUTTON_FRAME_Z: Final = 0.46
BUTTON_TOP_Z: Final = 0.484
BUTTON_RADIUS: Final = 0.026
"""Narrow enough that a press beside it is a miss."""

DRAWER_FRAME_Z: Final = 0.32
DRAWER_HALF_WIDTH: Final = 0.036
"""Of the face: a finger that pushes 4.6 cm beside the middle misses it."""
DRAWER_FACE_Y: Final = (-0.182, -0.157)
DRAWER_FACE_Z: Final = (0.30, 0.40)
DRAWER_BAR_HALF_WIDTH: Final = 0.032
DRAWER_BAR_Y: Final = (-0.262, -0.238)
DRAWER_BAR_Z: Final = (0.335, 0.385)

SLIDE_FRAME: Final = np.array([-0.10, 0.075, 0.535])
DOOR_CENTER_X: Final = 0.14
"""Of the door and of CALVIN's handle, relative to the slide's frame: world x 0.04 with the door at 0."""
DOOR_HALF_WIDTH: Final = 0.066
DOOR_SLANT: Final = (-0.105, 0.12)
DOOR_HALF_THICKNESS: Final = 0.006
KNOB_HALF_WIDTH: Final = 0.018
"""Fits between the open fingers (8 cm) with 2.2 cm to spare on each side."""
KNOB_HALF_SLANT: Final = 0.013
KNOB_REACH: Final = 0.056
"""How far the knob stands out of the door along `NORMAL`."""
KNOB_GRASP: Final = 0.038
"""Where along `NORMAL` fingers should hold it."""

SWITCH_FRAME_YZ: Final = (0.061, 0.495)
SWITCH_BAR_OFFSET: Final = (0.051, 0.0075)
"""Bar centre relative to the switch's frame, along `NORMAL` and along `SLANT`."""
SWITCH_BAR_HALF: Final = (0.011, 0.013, 0.013)
"""Half extents along x, `NORMAL`, `SLANT`."""

LED_CENTER: Final = np.array([0.10, 0.16, 0.662])
BULB_CENTER: Final = np.array([0.375, 0.135, 0.62])
LED_SIZE: Final = (0.16, 0.04, 0.04)
BULB_SIZE: Final = (0.06, 0.06, 0.06)
"""Centres and edge lengths of the lights, larger than CALVIN's so that 64x64 pixels show them."""

FINGER_DEPTH: Final = 0.02
"""Of one finger, along the hand's x axis: world y when the gripper points down with yaw 90 degrees."""
FINGER_THICKNESS: Final = 0.010
"""Of one finger, along its opening direction; the closed pair is twice as wide."""
FINGER_TIP_BELOW_TCP: Final = 0.019
"""Distance from the TCP to the finger tips along the hand's z axis."""
