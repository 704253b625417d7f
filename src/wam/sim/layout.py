"""Where the furniture stands in one episode, how far it may move, and why."""

import dataclasses
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wam.sim import constants as c
from wam.sim import geometry as g

Point = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Positions of the furniture in metres; the methods give world points, so nobody else does geometry.

    Attributes:
        drawer_x: World x of the middle of the drawer.
        slider_handle_x: Handle's offset on its door from CALVIN's place, along world x.
        slider_handle_up: Handle's offset on its door along the slant, upwards.
        switch_x: World x of the switch.
        button_x: World x of the button.
        button_y: World y of the button.
    """

    drawer_x: float
    slider_handle_x: float
    slider_handle_up: float
    switch_x: float
    button_x: float
    button_y: float

    def to_array(self) -> NDArray[np.float64]:
        """Values in the order of `LAYOUT_FIELDS`, shape (L,), float64."""
        return np.array([getattr(self, name) for name in LAYOUT_FIELDS], dtype=np.float64)

    @classmethod
    def from_array(cls, values: NDArray[np.float64]) -> "Layout":
        """Build from values in the order of `LAYOUT_FIELDS`.

        Raises:
            ValueError: If the shape is not (L,) or a value is not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(LAYOUT_FIELDS),) or not np.isfinite(values).all():
            raise ValueError(f"a layout is {len(LAYOUT_FIELDS)} finite numbers {LAYOUT_FIELDS}, got {values}")
        return cls(**dict(zip(LAYOUT_FIELDS, values.tolist(), strict=True)))

    def drawer_handle(self, drawer: float) -> Point:
        """Middle of the gap between handle bar and drawer face, at the bar's height."""
        gap = (g.DRAWER_BAR_Y[1] + g.DRAWER_FACE_Y[0]) / 2
        return np.array([self.drawer_x, gap - drawer, sum(g.DRAWER_BAR_Z) / 2])

    def slider_handle(self, slide: float) -> Point:
        """Point of the door's knob that the fingers should straddle."""
        along = g.SLIDE_FRAME + np.array([g.DOOR_CENTER_X + self.slider_handle_x - slide, 0.0, 0.0])
        handle: Point = along + self.slider_handle_up * g.SLANT + g.KNOB_GRASP * g.NORMAL
        return handle

    def switch_bar(self, switch: float) -> Point:
        """Centre of the switch's bar; it moves along `geometry.SLANT`."""
        frame = np.array([self.switch_x, *g.SWITCH_FRAME_YZ])
        bar: Point = frame + g.SWITCH_BAR_OFFSET[0] * g.NORMAL + (g.SWITCH_BAR_OFFSET[1] + switch) * g.SLANT
        return bar

    def button_top(self, button: float = 0.0) -> Point:
        """Centre of the button's upper face."""
        return np.array([self.button_x, self.button_y, g.BUTTON_TOP_Z - button])

    def swept_boxes(self) -> dict[str, tuple[Point, Point]]:
        """Axis-aligned box (low, high) that each piece of furniture stays in over its whole joint range."""
        up, low, high = self.slider_handle_up, *g.DOOR_SLANT
        knob = g.DOOR_CENTER_X + self.slider_handle_x
        door = [
            g.SLIDE_FRAME + np.array([x - slide, 0, 0]) + slant * g.SLANT + normal * g.NORMAL
            for slide in c.SLIDE_LIMITS
            for x, slant, normal in (
                (g.DOOR_CENTER_X - g.DOOR_HALF_WIDTH, low, g.DOOR_HALF_THICKNESS),
                (g.DOOR_CENTER_X + g.DOOR_HALF_WIDTH, high, -g.DOOR_HALF_THICKNESS),
                (knob - g.KNOB_HALF_WIDTH, up - g.KNOB_HALF_SLANT, g.KNOB_REACH),
                (knob + g.KNOB_HALF_WIDTH, up + g.KNOB_HALF_SLANT, g.KNOB_REACH),
            )
        ]
        half = np.array([g.SWITCH_BAR_HALF[0], 0.018, 0.018])
        switch = [self.switch_bar(s) + sign * half for s in c.SWITCH_LIMITS for sign in (-1, 1)]
        radius = np.array([g.BUTTON_RADIUS, g.BUTTON_RADIUS, 0])
        button = [self.button_top() + radius, self.button_top(0.044) - radius]
        drawer = [
            np.array([self.drawer_x - g.DRAWER_HALF_WIDTH, g.DRAWER_BAR_Y[0] - c.DRAWER_LIMITS[1], 0.30]),
            np.array([self.drawer_x + g.DRAWER_HALF_WIDTH, 0.061, 0.40]),
        ]
        corners = {"door": door, "switch": switch, "button": button, "drawer": drawer}
        return {name: (np.min(points, axis=0), np.max(points, axis=0)) for name, points in corners.items()}

    def has_overlap(self, margin: float = 0.005) -> bool:
        """Whether two pieces of furniture come closer than `margin` (m) anywhere in their joint ranges."""
        boxes = list(self.swept_boxes().values())
        return any(
            bool(np.all(low_a - margin < high_b) and np.all(low_b - margin < high_a))
            for i, (low_a, high_a) in enumerate(boxes)
            for low_b, high_b in boxes[i + 1 :]
        )


LAYOUT_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Layout))


class Range(NamedTuple):
    """A closed interval in metres and the reason for it."""

    low: float
    high: float
    reason: str


# Frozen before any policy was trained. What the scripted expert solves with them, and what its path for
# MEAN_LAYOUT and the mean opening does: docs/decisions/0006-the-table-varies.md.
LAYOUT_RANGES: Final[dict[str, Range]] = {
    "drawer_x": Range(-0.10, 0.30, "the face is 7 cm wide: a push for the mean hits one start in four"),
    "slider_handle_x": Range(
        -0.055, 0.055, "the knob stays on its door, 13 cm wide, but for an edge of 7 mm"
    ),
    "slider_handle_up": Range(
        -0.09, 0.105, "all of the door; fingers for the mean pass above or in front of far knobs"
    ),
    "switch_x": Range(0.123, 0.32, "right of the closed door; the arm reaches 0.32 and not much further"),
    "button_x": Range(-0.28, 0.08, "all of the front that both the arm and the static camera reach well"),
    "button_y": Range(-0.145, -0.072, "between the table's front edge and the fingers on a low knob"),
}

FIXED_LAYOUT: Final = Layout(
    drawer_x=0.18, slider_handle_x=0.0, slider_handle_up=0.0, switch_x=0.30, button_x=-0.12, button_y=-0.12
)
"""CALVIN's scene D."""

MEAN_LAYOUT: Final = Layout(**{name: (r.low + r.high) / 2 for name, r in LAYOUT_RANGES.items()})
"""What somebody who cannot see should believe; the blind control acts on it."""


def sample_layout(rng: np.random.Generator) -> Layout:
    """Draw a layout uniformly from `LAYOUT_RANGES`, again while two pieces of furniture overlap."""
    while True:
        layout = Layout(**{name: float(rng.uniform(r.low, r.high)) for name, r in LAYOUT_RANGES.items()})
        if not layout.has_overlap():
            return layout
