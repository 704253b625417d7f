import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solved import solved_tasks

from wam.tasks.predicates import is_feasible, succeeded
from wam.tasks.segments import Segment, accepted_windows, find_segments
from wam.tasks.table import TASK_NAMES, TASKS


def play(*events: tuple[int, int, float], frames: int = 200) -> np.ndarray:
    """Scene states ``(frames, 24)`` in which quantities jump to values at frames."""
    scene = np.zeros((frames, 24))
    for frame, quantity, value in events:
        scene[frame:, quantity] = value
    return scene


def flip_row(scene: np.ndarray, segment: Segment) -> int:
    """First row of the episode at which a segment's task is done relative to the segment's first row."""
    rows = scene[segment.start : segment.end + 1]
    return segment.start + int(np.flatnonzero(succeeded(TASKS[segment.task], rows[0], rows))[0])


def slow_windows(scene: np.ndarray, middle: np.ndarray, margin: int) -> list[tuple[int, int, str]]:
    """The rule window by window, in the words of CALVIN's annotator."""
    found = []
    for first in range(len(scene) - 64):
        start, goal = scene[first], scene[first + 63]
        mid = scene[first + middle[first]]
        tasks = solved_tasks(mid, goal)
        if len(tasks) != 1:
            continue
        (name,) = tasks
        if name in solved_tasks(mid, scene[first + 48]):
            continue
        if any(name not in solved_tasks(mid, scene[first + 63 - back]) for back in range(margin + 1)):
            continue
        whole = name in solved_tasks(start, goal) and not solved_tasks(start, scene[first + 32])
        begin = first if whole else first + int(middle[first])
        if is_feasible(TASKS[name], scene[begin]):
            found.append((first, begin, name))
    return found


@st.composite
def plays(draw: st.DrawFn) -> np.ndarray:
    events = draw(st.lists(st.tuples(st.integers(0, 149), st.sampled_from([0, 1, 4, 5])), max_size=8))
    scene = np.zeros((150, 24))
    for frame, quantity in events:
        if quantity >= 4:
            scene[frame:, quantity] = 1 - scene[frame, quantity]
        else:
            goal, speed = draw(st.floats(0, (0.28, 0.22)[quantity])), draw(st.integers(1, 25))
            ramp = np.linspace(scene[frame, quantity], goal, speed)[: 150 - frame]
            scene[frame : frame + len(ramp), quantity] = ramp
            scene[frame + len(ramp) :, quantity] = goal
    return scene


@pytest.mark.slow
@given(scene=plays(), seed=st.integers(0, 99), margin=st.sampled_from([0, 0, 5, 13]))
def test_windows_equal_the_slow_rule(scene: np.ndarray, seed: int, margin: int) -> None:
    middle = np.random.default_rng(seed).integers(16, 32, size=len(scene) - 64)
    fast = accepted_windows(scene, middle, margin_frames=margin)
    assert [(row.first, row.start, TASK_NAMES[row.task_index]) for row in fast] == slow_windows(
        scene, middle, margin
    )


@pytest.mark.slow
@given(scene=plays(), seed=st.integers(0, 99), margin=st.sampled_from([0, 6]))
def test_every_segment_can_be_used(scene: np.ndarray, seed: int, margin: int) -> None:
    for segment in find_segments(scene, np.random.default_rng(seed), margin_frames=margin):
        assert 0 <= segment.start < segment.end < len(scene)
        assert segment.end - segment.start + 1 in {65, *range(34, 50)}
        assert is_feasible(TASKS[segment.task], scene[segment.start])
        assert segment.task in solved_tasks(scene[segment.start], scene[segment.end - 1])
        assert flip_row(scene, segment) <= segment.end - 1 - margin


@pytest.mark.parametrize(
    ("event", "begin", "name"),
    [
        ((120, 1, 0.2), 0.0, "open_drawer"),
        ((120, 1, 0.0), 0.2, "close_drawer"),
        ((120, 0, 0.28), 0.0, "move_slider_left"),
        ((120, 0, 0.05), 0.28, "move_slider_right"),
        ((120, 4, 1.0), 0.0, "turn_on_lightbulb"),
        ((120, 4, 0.0), 1.0, "turn_off_lightbulb"),
        ((120, 5, 1.0), 0.0, "turn_on_led"),
        ((120, 5, 0.0), 1.0, "turn_off_led"),
    ],
)
def test_one_event_gives_one_segment(event: tuple[int, int, float], begin: float, name: str) -> None:
    (segment,) = find_segments(play((0, event[1], begin), event), np.random.default_rng(0))
    assert segment.task == name
    assert segment.start < 120 <= segment.end
    assert flip_row(play((0, event[1], begin), event), segment) == 120


def test_a_lone_event_is_stored_with_the_whole_window() -> None:
    (segment,) = find_segments(play((120, 4, 1.0)), np.random.default_rng(0))
    assert segment.end - segment.start == 64


def test_an_earlier_event_shortens_the_segment() -> None:
    segments = find_segments(play((95, 5, 1.0), (120, 4, 1.0)), np.random.default_rng(0))
    bulb = next(segment for segment in segments if segment.task == "turn_on_lightbulb")
    assert 33 <= bulb.end - bulb.start <= 48


def test_two_tasks_at_once_are_no_segment() -> None:
    assert find_segments(play((120, 4, 1.0), (121, 5, 1.0)), np.random.default_rng(0))[0].end - 1 == 120
    assert find_segments(play((120, 4, 1.0), (120, 5, 1.0)), np.random.default_rng(0)) == []


def test_the_same_task_twice_gives_two_segments() -> None:
    segments = find_segments(play((80, 5, 1.0), (110, 5, 0.0), (150, 5, 1.0)), np.random.default_rng(0))
    assert [segment.task for segment in segments] == ["turn_on_led", "turn_off_led", "turn_on_led"]


def test_seeded_choice_varies_and_repeats() -> None:
    scene = play((120, 4, 1.0))
    chosen = [find_segments(scene, np.random.default_rng(seed))[0] for seed in range(20)]
    assert len(set(chosen)) > 3
    assert chosen == [find_segments(scene, np.random.default_rng(seed))[0] for seed in range(20)]


def test_a_margin_leaves_frames_after_the_flip() -> None:
    scene = play((120, 4, 1.0))
    for seed in range(20):
        (segment,) = find_segments(scene, np.random.default_rng(seed), margin_frames=10)
        assert segment.end - 1 - 120 >= 10


def test_short_episodes_have_none() -> None:
    assert find_segments(play((50, 4, 1.0), frames=64), np.random.default_rng(0)) == []
    assert find_segments(np.zeros((0, 24)), np.random.default_rng(0)) == []


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"got \(10, 23\)"):
        find_segments(np.zeros((10, 23)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="margin_frames must be 0 to 14, got 15"):
        find_segments(np.zeros((10, 24)), np.random.default_rng(0), margin_frames=15)
