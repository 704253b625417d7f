"""What an episode of play is to show, and a start from which it can."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from wam.seeding import numpy_generator
from wam.sim import starts
from wam.sim.config import SimConfig
from wam.tasks.selection import is_selection_episode
from wam.tasks.starts import Start
from wam.tasks.table import DRAWER, LED, LIGHTBULB, SLIDER, SWITCH, TASKS

TRAINING: Final = "training"
VALIDATION: Final = "validation"
"""Names of the splits, CALVIN's folder names."""
SHORT: Final = "short"
"""Short episodes: part of the training split, with a count of their own."""
FAMILIES: Final = (
    ("open_drawer", "close_drawer"),
    ("move_slider_left", "move_slider_right"),
    ("turn_on_lightbulb", "turn_off_lightbulb"),
    ("turn_on_led", "turn_off_led"),
)
"""Tasks that undo each other. Every episode begins with one of each family in random order; two neighbouring
episodes take opposite ones, so that all eight tasks come up equally often."""


def draw_agenda(seed: int, split: str, index: int) -> list[str]:
    """One task of each family in random order, opposite to those of the neighbouring episode.

    Neighbours are the 1st and 2nd, the 3rd and 4th, ... episode of the same use: validation episodes for
    selection starts and those for test starts are counted apart, so that each set holds all tasks evenly.
    The lights are done too soon for the first segment of an episode: a door comes first, except in short
    episodes, which have no segments and little more than their first try.
    """
    place, use = index, "all"
    if split == VALIDATION:
        use = "selection" if is_selection_episode(index) else "test"
        place = sum(is_selection_episode(i) == (use == "selection") for i in range(index))
    directions = numpy_generator(seed, "directions", split, use, place // 2).integers(2, size=len(FAMILIES))
    tasks = [pair[int(way) ^ (place % 2)] for pair, way in zip(FAMILIES, directions, strict=True)]
    order = numpy_generator(seed, "order", split, index).permutation(len(FAMILIES)).tolist()
    while split != SHORT and TASKS[tasks[order[0]]].is_light:
        order = [*order[1:], order[0]]
    return [tasks[i] for i in order]


def start_for(sim: SimConfig, agenda: Sequence[str], rng: np.random.Generator) -> Start:
    """A random start from which every task of the agenda is possible."""
    start = starts.sample_start(sim, rng)
    scene = start.scene_state.copy()
    for task in (TASKS[name] for name in agenda):
        if task.quantity in (LIGHTBULB, LED):
            scene[task.quantity] = 0.0 if task.delta > 0 else 1.0
        if task.quantity == LIGHTBULB:
            scene[SWITCH] = rng.uniform(*(starts.SWITCH_DOWN if task.delta > 0 else starts.SWITCH_UP))
        if task.quantity == SLIDER:
            scene[SLIDER] = rng.uniform(*starts.SLIDE_STARTS[task.name])
        if task.quantity == DRAWER:
            scene[DRAWER] = rng.uniform(*starts.DRAWER_STARTS[task.name])
    return replace(start, scene_state=scene)
