"""CALVIN's 34 predicates on moments written by hand; on simulated ones: tests/sim/test_moments.py."""

import copy

import numpy as np
import pytest
from solved import solved_tasks

from wam.tasks.oracle import ORACLE, tasks_done
from wam.tasks.table import TASK_NAMES

ROBOT, TABLE = 0, 5
BLOCKS = {"red": 2, "blue": 3, "pink": 4}
BASE, DRAWER, PLANK = (TABLE, -1), (TABLE, 3), (TABLE, 6)
FINGER = (ROBOT, 10)
LINKS = {"base_link": -1, "drawer_link": 3, "plank_link": 6}


def contacts(*surfaces):
    """PyBullet's tuples with what the oracle reads: the other body and its link."""
    return [(0, 0, body, -1, link) for body, link in surfaces]


def moment():
    """All blocks at rest on the table, everything closed and dark."""
    blocks = {
        f"block_{color}": {
            "uid": uid,
            "current_pos": (0.1 * uid, -0.1, 0.46),
            "current_orn": (0.0, 0.0, 0.0, 1.0),
            "current_lin_vel": (0.0, 0.0, 0.0),
            "current_ang_vel": (0.0, 0.0, 0.0),
            "contacts": contacts(BASE),
        }
        for color, uid in BLOCKS.items()
    }
    return {
        "robot_info": {"uid": ROBOT, "contacts": []},
        "scene_info": {
            "fixed_objects": {"table": {"uid": TABLE, "links": LINKS}},
            "movable_objects": blocks,
            "doors": {"base__slide": {"current_state": 0.0}, "base__drawer": {"current_state": 0.0}},
            "lights": {"lightbulb": {"logical_state": 0}, "led": {"logical_state": 0}},
        },
    }


def changed(color="red", **values):
    """A moment in which one block differs: shift (m), yaw (degrees), or anything of its description."""
    after = copy.deepcopy(moment())
    block = after["scene_info"]["movable_objects"][f"block_{color}"]
    if "shift" in values:
        block["current_pos"] = tuple(np.add(block["current_pos"], values.pop("shift")))
    if "turn" in values:
        axis, degrees = values.pop("turn")
        half = np.radians(degrees) / 2
        block["current_orn"] = (*(np.sin(half) * np.eye(3)[axis]), float(np.cos(half)))
    block.update(values)
    touched = {contact[2] for contact in block["contacts"]}
    after["robot_info"]["contacts"] = contacts((block["uid"], -1)) if ROBOT in touched else []
    return after


HELD = contacts(FINGER)


def test_there_are_the_34_tasks_and_ours_are_among_them():
    assert len(ORACLE) == 34
    assert set(TASK_NAMES) <= set(ORACLE)


def test_nothing_happened_is_no_task():
    assert tasks_done(moment(), moment()) == set()


@pytest.mark.parametrize("color", BLOCKS)
@pytest.mark.parametrize(
    ("after", "task"),
    [
        ({"turn": (2, 61)}, "rotate_{}_block_left"),
        ({"turn": (2, -61)}, "rotate_{}_block_right"),
        ({"turn": (2, 59)}, None),
        ({"turn": (2, 90), "shift": (0.09, 0, 0)}, "rotate_{}_block_left"),
        ({"turn": (2, 90), "shift": (0, 0.101, 0)}, None),
        ({"turn": (2, 90), "contacts": HELD}, None),
        ({"turn": (0, 90)}, None),
        ({"shift": (0.101, 0, 0)}, "push_{}_block_right"),
        ({"shift": (-0.101, 0, 0)}, "push_{}_block_left"),
        ({"shift": (0.099, 0, 0)}, None),
        ({"shift": (0, 0.2, 0)}, None),
        ({"shift": (0.2, 0, 0), "contacts": contacts(PLANK)}, None),
        ({"shift": (0.2, 0, 0), "contacts": contacts(BASE, FINGER)}, "push_{}_block_right"),
        ({"shift": (0, 0, 0.051), "contacts": HELD}, "lift_{}_block_table"),
        ({"shift": (0, 0, 0.049), "contacts": HELD}, None),
        ({"shift": (0, 0, 0.2), "contacts": contacts(FINGER, BASE)}, None),
        ({"shift": (0, 0, 0.2), "contacts": []}, None),
        ({"shift": (0, -0.15, -0.1), "contacts": contacts(DRAWER)}, "push_into_drawer"),
        ({"contacts": contacts(DRAWER, FINGER)}, None),
    ],
)
def test_a_block_that_lay_on_the_table(color, after, task):
    expected = set() if task is None else {task.format(color)}
    assert tasks_done(moment(), changed(color, **dict(after))) == expected


@pytest.mark.parametrize(("surface", "name", "rise"), [(PLANK, "slider", 0.03), (DRAWER, "drawer", 0.05)])
def test_lifted_from_elsewhere(surface, name, rise):
    before = changed(contacts=contacts(surface))
    assert tasks_done(before, changed(shift=(0, 0, rise + 0.001), contacts=HELD)) == {
        f"lift_red_block_{name}"
    }
    assert tasks_done(before, changed(shift=(0, 0, rise - 0.001), contacts=HELD)) == set()


@pytest.mark.parametrize(("surface", "task"), [(PLANK, "place_in_slider"), (DRAWER, "place_in_drawer")])
def test_placed(surface, task):
    before = changed(contacts=HELD)
    assert tasks_done(before, changed(contacts=contacts(surface))) == {task}
    assert tasks_done(before, changed(contacts=contacts(surface, FINGER))) == set()
    assert tasks_done(before, changed(contacts=contacts(BASE))) == set()
    dragged = changed(contacts=contacts(FINGER, BASE))
    assert task not in tasks_done(dragged, changed(contacts=contacts(surface)))


def test_stacked_and_taken_off_again():
    stacked = changed(contacts=contacts((BLOCKS["blue"], -1)))
    assert tasks_done(moment(), stacked) == {"stack_block"}
    assert tasks_done(stacked, moment()) == {"unstack_block"}
    leaning = changed(contacts=contacts((BLOCKS["blue"], -1), BASE))
    assert tasks_done(moment(), leaning) == set()
    falling = changed(contacts=contacts((BLOCKS["blue"], -1)), current_lin_vel=(0.0, 0.0, -1.5))
    assert tasks_done(moment(), falling) == set()


@pytest.mark.parametrize("seed", range(5))
def test_furniture_is_judged_as_from_scene_states(seed):
    rng = np.random.default_rng(seed)
    states = np.zeros((12, 24))
    states[:, 0], states[:, 1] = rng.uniform(0, 0.28, 12), rng.uniform(0, 0.22, 12)
    states[:, 4:6] = rng.integers(2, size=(12, 2))
    moments = []
    for state in states:
        after = copy.deepcopy(moment())
        after["scene_info"]["doors"]["base__slide"]["current_state"] = float(state[0])
        after["scene_info"]["doors"]["base__drawer"]["current_state"] = float(state[1])
        after["scene_info"]["lights"]["lightbulb"]["logical_state"] = int(state[4])
        after["scene_info"]["lights"]["led"]["logical_state"] = int(state[5])
        moments.append(after)
    for a, before in enumerate(moments):
        for b, after in enumerate(moments):
            assert tasks_done(before, after) == solved_tasks(states[a], states[b])
