"""Moments that make every one of CALVIN's 34 predicates true and false, constructed because no expert exists.

Each is a start and a number of still steps after it, in which blocks come to rest and fingers close. Every
ordered pair of moments is one attempt: its start and its end.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wam.sim import constants as c
from wam.sim.backends import Table
from wam.sim.kinematics import solve_joints
from wam.sim.waypoints import GRIPPER_DOWN, OPEN
from wam.tasks.starts import Start

TABLE_Z, PLANK_Z, DRAWER_Z = 0.46, 0.461, 0.362
"""Heights (m) at which the centre of a 4 cm block rests."""
ROW_Y = -0.12
"""Free strip at the front of the table (m)."""
SLOTS = (0.05, 0.17, 0.29)
"""Places (m along x) 12 cm apart: a block moved from one to another has been pushed."""
PLANK = ((-0.24, 0.0924), (0.0703, 0.0924))
"""Places on the slider's shelf."""
TRAY = ((0.10, -0.27), (0.25, -0.27))
"""Places in the open drawer."""
STILL_STEPS = 12
COLORS = ("red", "blue", "pink")


@dataclass(frozen=True)
class Constructed:
    """A start that is held still for a while, with the gripper open or closing."""

    name: str
    start: Start
    gripper: float

    def reach(self, table: Table) -> dict[str, Any]:
        """The moment on a table: reset there, wait, describe."""
        table.reset(options={"start": self.start})
        for _ in range(STILL_STEPS):
            table.step(np.array([0, 0, 0, 0, 0, 0, self.gripper]))
        return table.get_info()


def _start(
    blocks: dict[str, tuple[float, float, float, float]],
    *,
    slide: float = 0.0,
    drawer: float = 0.0,
    bulb: bool = False,
    led: bool = False,
    tcp: tuple[float, float, float] | None = None,
) -> Start:
    """A start from block poses (x, y, z, yaw); the arm is at rest, or holds what is at `tcp`."""
    scene = np.zeros(24)
    scene[[0, 1, 3, 4, 5]] = slide, drawer, 0.088 * bulb, bulb, led
    for i, color in enumerate(COLORS):
        x, y, z, yaw = blocks[color]
        scene[6 + 6 * i : 12 + 6 * i] = x, y, z, 0, 0, yaw
    joints = np.array(c.ARM_REST) if tcp is None else solve_joints(np.array(tcp), np.array(GRIPPER_DOWN))
    assert joints is not None, f"the arm cannot reach {tcp}"
    robot = np.zeros(15)
    robot[6], robot[7:14], robot[14] = 0.08 if tcp is None else 0.044, joints, OPEN
    return Start(robot, scene)


def _row(order: tuple[int, int, int], yaw: float = 0.0) -> dict[str, tuple[float, float, float, float]]:
    return {color: (SLOTS[i], ROW_Y, TABLE_Z, yaw) for color, i in zip(COLORS, order, strict=True)}


def constructed_moments() -> list[Constructed]:
    """All moments: rows, turned rows, held, on the shelf, in the drawer, stacked, lights and slider."""
    row = _row((0, 1, 2))
    starts = {
        "row": _start(row),
        "row 2": _start(_row((1, 2, 0))),
        "row 3": _start(_row((2, 0, 1))),
        "bulb": _start(row, bulb=True, slide=0.28),
        "led": _start(row, led=True, slide=0.28),
        "lights": _start(row, bulb=True, led=True, drawer=0.22),
        "led 2": _start(_row((1, 2, 0)), led=True),
        "bulb 2": _start(_row((1, 2, 0)), bulb=True),
    }
    starts |= {f"turned {yaw}": _start(_row((0, 1, 2), float(np.radians(yaw)))) for yaw in (-75, 75, 150)}
    for i, color in enumerate(COLORS):
        other = COLORS[(i + 1) % 3]
        on_shelf = dict(zip((color, other), PLANK, strict=True))
        shelf = row | {name: (x, y, PLANK_Z, 0.0) for name, (x, y) in on_shelf.items()}
        starts[f"{color} and {other} on the shelf"] = _start(shelf)
        in_tray = dict(zip((color, other), TRAY, strict=True))
        tray = row | {name: (x, y, DRAWER_Z, 0.0) for name, (x, y) in in_tray.items()}
        starts[f"{color} and {other} in the drawer"] = _start(tray, drawer=0.22)
        x, y, z, yaw = row[other]
        starts[f"{color} on {other}"] = _start(row | {color: (x, y, z + 0.0405, yaw)})
    moments = [Constructed(name, start, OPEN) for name, start in starts.items()]
    for color in COLORS:
        for x in (0.0, 0.12):
            tcp = (x, -0.16, 0.62)
            held = row | {color: (*tcp[:2], tcp[2] - 0.005, np.pi / 2)}
            moments.append(Constructed(f"{color} held at {x}", _start(held, tcp=tcp), -1.0))
    return moments
