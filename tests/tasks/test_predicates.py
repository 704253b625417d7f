import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solved import solved_tasks

from wam.tasks.predicates import is_feasible, solved_matrix, succeeded
from wam.tasks.table import TASK_NAMES, TASKS

RANGES = {0: (0.0, 0.28), 1: (0.0, 0.22)}


def scene(slide: float = 0.0, drawer: float = 0.0, bulb: int = 0, led: int = 0) -> np.ndarray:
    values = np.zeros(24)
    values[[0, 1, 4, 5]] = slide, drawer, bulb, led
    return values


SCENES = st.builds(scene, st.floats(0, 0.28), st.floats(0, 0.22), st.integers(0, 1), st.integers(0, 1))


def slow_oracle(start: np.ndarray, end: np.ndarray) -> set[str]:
    """CALVIN's table of conditions, written out."""
    solved = set()
    if end[1] - start[1] > 0.12:
        solved.add("open_drawer")
    if end[1] - start[1] < -0.12:
        solved.add("close_drawer")
    if end[0] - start[0] > 0.15:
        solved.add("move_slider_left")
    if end[0] - start[0] < -0.15:
        solved.add("move_slider_right")
    for index, name in ((4, "lightbulb"), (5, "led")):
        if start[index] == 0 and end[index] == 1:
            solved.add(f"turn_on_{name}")
        if start[index] == 1 and end[index] == 0:
            solved.add(f"turn_off_{name}")
    return solved


@given(start=SCENES, end=SCENES)
def test_equals_the_slow_oracle(start: np.ndarray, end: np.ndarray) -> None:
    assert solved_tasks(start, end) == slow_oracle(start, end)


TRUTH = {
    "open_drawer": (scene(), scene(drawer=0.13), scene(drawer=0.119)),
    "close_drawer": (scene(drawer=0.2), scene(drawer=0.07), scene(drawer=0.09)),
    "move_slider_left": (scene(), scene(slide=0.16), scene(slide=0.14)),
    "move_slider_right": (scene(slide=0.28), scene(slide=0.1), scene(slide=0.14)),
    "turn_on_lightbulb": (scene(), scene(bulb=1), scene(led=1)),
    "turn_off_lightbulb": (scene(bulb=1), scene(), scene(bulb=1, led=1)),
    "turn_on_led": (scene(), scene(led=1), scene(bulb=1)),
    "turn_off_led": (scene(led=1), scene(), scene(led=1, bulb=1)),
}


@pytest.mark.parametrize("name", TASK_NAMES)
def test_truth_table(name: str) -> None:
    start, solved, short = TRUTH[name]
    assert succeeded(TASKS[name], start, solved)
    assert not succeeded(TASKS[name], start, short)
    assert not succeeded(TASKS[name], start, start)
    assert not succeeded(TASKS[name], solved, start)
    assert is_feasible(TASKS[name], start)
    assert not is_feasible(TASKS[name], solved)


@pytest.mark.parametrize(("name", "end"), [("open_drawer", 0.12), ("move_slider_left", 0.15)])
def test_the_threshold_itself_is_no_success(name: str, end: float) -> None:
    assert not succeeded(TASKS[name], scene(), scene(slide=end, drawer=end))


@pytest.mark.parametrize("name", TASK_NAMES)
@given(start=SCENES)
def test_feasible_means_some_reachable_scene_succeeds(name: str, start: np.ndarray) -> None:
    task = TASKS[name]
    ends = RANGES.get(task.quantity, (0.0, 1.0))
    reachable = np.tile(start, (2, 1))
    reachable[:, task.quantity] = ends
    assert bool(is_feasible(task, start)) == bool(succeeded(task, start, reachable).any())


def test_a_margin_keeps_travel_in_reserve() -> None:
    nearly = scene(drawer=0.09)
    assert is_feasible(TASKS["open_drawer"], nearly)
    assert not is_feasible(TASKS["open_drawer"], nearly, margin=0.02)
    assert is_feasible(TASKS["turn_on_led"], nearly, margin=0.02)


def test_leading_axes_broadcast() -> None:
    start, end = np.zeros((5, 1, 24)), np.zeros((3, 24))
    end[1, 1] = 0.2
    assert succeeded(TASKS["open_drawer"], start, end).tolist() == [[False, True, False]] * 5
    assert solved_matrix(start, end).shape == (5, 3, 8)
    assert is_feasible(TASKS["open_drawer"], end).tolist() == [True, False, True]


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got shape \(15,\)"):
        succeeded(TASKS["open_drawer"], np.zeros(15), np.zeros(24))
