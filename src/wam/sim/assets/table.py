"""URDF of our play table: boxes in CALVIN's links and joints, placed by a layout."""

import math
from pathlib import Path
from typing import Final

from wam.sim import constants as c
from wam.sim import geometry as g
from wam.sim.assets.parts import Joint, Solid, joint_xml, link_xml, robot_xml
from wam.sim.layout import Layout

WOOD: Final = (0.80, 0.70, 0.55)
WALL: Final = (0.55, 0.60, 0.70)
DOOR: Final = (0.93, 0.93, 0.90)
KNOB: Final = (1.0, 0.40, 0.0)
PANEL: Final = (0.20, 0.22, 0.30)
SWITCH_BAR: Final = (0.0, 0.85, 0.95)
SWITCH_POST: Final = (0.0, 0.65, 0.75)
BUTTON: Final = (0.05, 0.30, 0.05)
DRAWER: Final = (0.30, 0.17, 0.08)
DRAWER_BAR: Final = (0.75, 0.95, 0.10)
LIGHT_OFF: Final = (0.10, 0.10, 0.10)
LED_ON: Final = (0.1, 1.0, 0.1)
BULB_ON: Final = (1.0, 1.0, 0.0)

_LEAN: Final = math.radians(30.0)
_BACK: Final = math.radians(90.0)


def _base(layout: Layout, meshes: Path) -> str:
    """Top, back wall and switch panel; no legs, since large faces are what drawing costs."""
    top, half = g.TABLE_TOP, g.TABLE_HALF_X
    depth, middle = g.TABLE_BACK - g.TABLE_FRONT, (g.TABLE_BACK + g.TABLE_FRONT) / 2
    wall = g.WALL_TOP - top
    panel = (layout.switch_x, g.SWITCH_FRAME_YZ[0] + 0.022, g.SWITCH_FRAME_YZ[1] + 0.030)
    return link_xml(
        "base_link",
        0.0,
        [
            Solid((0, middle, top - 0.018), (2 * half, depth, 0.036), WOOD),
            Solid((0, g.TABLE_BACK - 0.01, top + wall / 2), (2 * half, 0.02, wall), WALL),
            Solid(panel, (0.05, 0.012, 0.17), PANEL, roll=-_LEAN),
        ],
        meshes,
    )


def _button(layout: Layout, meshes: Path) -> tuple[str, str]:
    height = g.BUTTON_TOP_Z - g.BUTTON_FRAME_Z
    disc = Solid((0, height / 2, 0), (0, 0, height), BUTTON, roll=-_BACK, radius=g.BUTTON_RADIUS)
    joint = Joint(
        "base__button",
        (layout.button_x, layout.button_y, g.BUTTON_FRAME_Z),
        _BACK,
        (0, -1, 0),
        c.BUTTON_LIMITS,
    )
    return link_xml("button_link", 0.15, [disc], meshes), joint_xml(joint, "button_link")


def _switch(layout: Layout, meshes: Path) -> tuple[str, str]:
    (normal, slant), half = g.SWITCH_BAR_OFFSET, g.SWITCH_BAR_HALF
    bar = Solid((0, normal, -slant), (2 * half[0], 2 * half[1], 2 * half[2]), SWITCH_BAR)
    post = Solid((0, normal / 2, -slant), (0.012, normal, 0.012), SWITCH_POST)
    origin = (layout.switch_x, *g.SWITCH_FRAME_YZ)
    joint = Joint("base__switch", origin, math.radians(150), (0, 0, -1), c.SWITCH_LIMITS)
    return link_xml("switch_link", 0.24, [bar, post], meshes), joint_xml(joint, "switch_link")


def _slide(layout: Layout, meshes: Path) -> tuple[str, str]:
    low, high = g.DOOR_SLANT
    door = Solid(
        (g.DOOR_CENTER_X, (low + high) / 2, 0),
        (2 * g.DOOR_HALF_WIDTH, high - low, 2 * g.DOOR_HALF_THICKNESS),
        DOOR,
    )
    knob = Solid(
        (g.DOOR_CENTER_X + layout.slider_handle_x, layout.slider_handle_up, g.KNOB_REACH / 2),
        (2 * g.KNOB_HALF_WIDTH, 2 * g.KNOB_HALF_SLANT, g.KNOB_REACH),
        KNOB,
    )
    origin = (float(g.SLIDE_FRAME[0]), float(g.SLIDE_FRAME[1]), float(g.SLIDE_FRAME[2]))
    joint = Joint("base__slide", origin, math.radians(60), (-1, 0, 0), c.SLIDE_LIMITS)
    return link_xml("slide_link", 1.54, [door, knob], meshes), joint_xml(joint, "slide_link")


def _drawer(layout: Layout, meshes: Path) -> tuple[str, str]:
    (bar_out, bar_in), (face_out, face_in) = g.DRAWER_BAR_Y, g.DRAWER_FACE_Y
    bar_y = (g.DRAWER_BAR_Z[0] + g.DRAWER_BAR_Z[1]) / 2 - g.DRAWER_FRAME_Z
    bar_height = g.DRAWER_BAR_Z[1] - g.DRAWER_BAR_Z[0]
    face_y = (g.DRAWER_FACE_Z[0] + g.DRAWER_FACE_Z[1]) / 2 - g.DRAWER_FRAME_Z
    face_height = g.DRAWER_FACE_Z[1] - g.DRAWER_FACE_Z[0]
    width, bar_width, leg = 2 * g.DRAWER_HALF_WIDTH, 2 * g.DRAWER_BAR_HALF_WIDTH, 0.008
    leg_middle, leg_length = -(bar_in + face_out) / 2, face_out - bar_in
    solids = [
        Solid((0, face_y, -(face_out + face_in) / 2), (width, face_height, face_in - face_out), DRAWER),
        Solid((0, 0.005, 0.05), (width - 0.01, 0.02, 0.21), DRAWER),
        Solid((0, bar_y, -(bar_out + bar_in) / 2), (bar_width, bar_height, bar_in - bar_out), DRAWER_BAR),
    ]
    solids += [
        Solid((side * (bar_width - leg) / 2, bar_y, leg_middle), (leg, 0.02, leg_length), DRAWER_BAR)
        for side in (-1, 1)
    ]
    joint = Joint("base__drawer", (layout.drawer_x, 0, g.DRAWER_FRAME_Z), _BACK, (0, 0, 1), c.DRAWER_LIMITS)
    return link_xml("drawer_link", 4.23, solids, meshes), joint_xml(joint, "drawer_link")


def _fixed(name: str, origin: tuple[float, float, float], solid: Solid, meshes: Path) -> tuple[str, str]:
    link = f"{name}_link"
    return link_xml(link, 0.2, [solid], meshes), joint_xml(Joint(f"base__{name}", origin, 0.0), link)


def table_urdf(layout: Layout, meshes: Path) -> str:
    """The table as URDF text: links button, switch, slide, drawer, led, light, plank in CALVIN's order.

    `meshes` is the folder with the unit meshes of `parts`.
    """
    led, bulb = g.LED_CENTER.tolist(), g.BULB_CENTER.tolist()
    pieces = [
        _button(layout, meshes),
        _switch(layout, meshes),
        _slide(layout, meshes),
        _drawer(layout, meshes),
        _fixed("led", tuple(led), Solid((0, 0, 0), g.LED_SIZE, LIGHT_OFF), meshes),
        _fixed("light", tuple(bulb), Solid((0, 0, 0), g.BULB_SIZE, LIGHT_OFF), meshes),
        _fixed(
            "plank", (-0.10, 0.09, g.TABLE_TOP - 0.006), Solid((0, 0, 0), (0.52, 0.14, 0.012), WOOD), meshes
        ),
    ]
    return robot_xml("play_table", [_base(layout, meshes), *(part for piece in pieces for part in piece)])


def block_urdf(
    name: str, size: tuple[float, float, float], mass: float, color: tuple[float, float, float], meshes: Path
) -> str:
    """A loose block with CALVIN's friction."""
    link = link_xml(name, mass, [Solid((0, 0, 0), size, color)], meshes)
    contact = '<contact><lateral_friction value="0.7"/><spinning_friction value="0.001"/></contact>'
    return robot_xml(name, [link.replace("<inertial>", contact + "<inertial>", 1)])
