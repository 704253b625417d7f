"""The eight tasks: what each one moves, by how much, and how it is said.

Thresholds and quantities are those of CALVIN's task oracle: drawer 0.12 m, slider 0.15 m, lights switched.
A task is a change relative to the start of the attempt, never an absolute state.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

SLIDER: Final = 0
"""Index in the scene state: slider joint (m), + is left (world -x)."""
DRAWER: Final = 1
"""Index in the scene state: drawer joint (m), + is open."""
BUTTON: Final = 2
"""Index in the scene state: button joint (m), + is pressed."""
SWITCH: Final = 3
"""Index in the scene state: switch joint (m), + is up."""
LIGHTBULB: Final = 4
"""Index in the scene state: lightbulb, 0 off or 1 on."""
LED: Final = 5
"""Index in the scene state: LED, 0 off or 1 on."""

JOINT_LIMITS: Final[Mapping[int, tuple[float, float]]] = MappingProxyType(
    {SLIDER: (0.0, 0.28), DRAWER: (0.0, 0.22)}
)
"""Lower and upper limit (m) of the joints that the tasks move."""
LIGHT_ON: Final = 0.5
"""A light value above this is on; recorded values are 0 or 1."""


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: CALVIN's task id, verb and object.
        instruction: The task as a person says it.
        quantity: Index into the 24-d scene state.
        delta: Signed change that counts as success: metres for a joint (strictly exceeded), +1 or -1 for a
            light (off to on, on to off).
        is_light: True for the lights, which are switched, False for joints, which are moved.
    """

    name: str
    instruction: str
    quantity: int
    delta: float
    is_light: bool


_ROWS = (
    Task("open_drawer", "pull the handle to open the drawer", DRAWER, +0.12, is_light=False),
    Task("close_drawer", "push the handle to close the drawer", DRAWER, -0.12, is_light=False),
    Task("move_slider_left", "push the sliding door to the left side", SLIDER, +0.15, is_light=False),
    Task("move_slider_right", "push the sliding door to the right side", SLIDER, -0.15, is_light=False),
    Task("turn_on_lightbulb", "use the switch to turn on the light bulb", LIGHTBULB, +1.0, is_light=True),
    Task("turn_off_lightbulb", "use the switch to turn off the light bulb", LIGHTBULB, -1.0, is_light=True),
    Task("turn_on_led", "press the button to turn on the led light", LED, +1.0, is_light=True),
    Task("turn_off_led", "press the button to turn off the led light", LED, -1.0, is_light=True),
)
TASKS: Final[Mapping[str, Task]] = MappingProxyType({row.name: row for row in _ROWS})
"""The tasks by name, in the published order (the order fixes the stream of the published demo draw)."""
TASK_NAMES: Final = tuple(TASKS)
QUANTITIES: Final = tuple(sorted({row.quantity for row in _ROWS}))
"""Indices in the scene state that tasks turn on: slider, drawer, bulb, LED."""
IS_LIGHT: Final = tuple(any(row.quantity == q and row.is_light for row in _ROWS) for q in QUANTITIES)
"""Which of them are lights; the others are joints."""
SCENE_UNITS: Final = (0.1, 0.1, 0.02, 0.05, 1.0, 1.0)
"""What is 1 where a world model carries the first six of a scene state: metres of slider, drawer, button and
switch, then bulb and LED as they are. All numbers are as large as lights."""


def task(name: str) -> Task:
    """The task called ``name``.

    Raises:
        ValueError: If there is no such task; the message has the nearest name.
    """
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASK_NAMES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known tasks: {', '.join(TASK_NAMES)}"
    raise ValueError(f"unknown task {name!r}; {hint}")
