"""Task segments in play, by CALVIN's acceptance rule, without its quota.

The rule (CALVIN's automatic language annotator; docs/published.md, segments), for a window of
64 frames that starts at frame i::

    i            i+m         i+32        i+48         i+63   i+64
    start ...... middle ................ near-end ... goal   last stored frame
                 m ~ U{16..31}

Accepted if and only if exactly one task is solved middle -> goal and that task is not yet solved
middle -> near-end, so that success flips within the last 16 frames. Stored is (i, i+64) if the task is also
solved start -> goal and no task at all start -> frame 32, else (i+m, i+64); both ends inclusive.

Two additions, both needed because the segments are replayed and their first frames become starts: one segment
per success event (a window slid by one frame is the same event), and a first frame from which the task is
feasible within the joint limits.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wam.contracts import SCENE_STATE_DIM
from wam.tasks.predicates import is_feasible, solved_matrix
from wam.tasks.table import TASK_NAMES, TASKS

WINDOW_FRAMES: Final = 64
MIDDLE_FRAMES: Final = (16, 31)
"""First and last offset that the middle frame may have, inclusive."""
EARLY_FRAME: Final = 32
NEAR_END_FRAME: Final = 48
EVENT_GAP_FRAMES: Final = 16
"""Accepted windows of one task that start at most this far apart belong to one success event: the flip lies
in the last 16 frames of each, so windows further apart cannot share it."""


@dataclass(frozen=True, order=True)
class Segment:
    """Frames in which one task is done.

    Attributes:
        start: First row within the episode.
        end: Last row within the episode, inclusive.
        task: Name of the task.
    """

    start: int
    end: int
    task: str


@dataclass(frozen=True)
class Window:
    """An accepted window, before one per event is chosen: its first row, stored start and task index."""

    first: int
    start: int
    task_index: int


def accepted_windows(
    scene_state: NDArray[np.float64], middle: NDArray[np.int64], *, margin_frames: int = 0
) -> list[Window]:
    """Every window that passes the rule.

    Args:
        scene_state: Scene states of one episode, ``(T, 24)``.
        middle: Offset of the middle frame of the window that starts at each row, ``(T - 64,)``, 16 to 31.
        margin_frames: Frames at the end of the window in which success must already hold, 0 to 14; see
            :func:`find_segments`.

    Returns:
        Windows by first row.
    """
    first = np.arange(len(middle))
    goal = first + WINDOW_FRAMES - 1
    at_goal = solved_matrix(scene_state[first + middle], scene_state[goal])
    index = at_goal.argmax(axis=1)
    own = (first, index)
    accepted = at_goal.sum(axis=1) == 1
    accepted &= ~solved_matrix(scene_state[first + middle], scene_state[first + NEAR_END_FRAME])[own]
    for back in range(1, margin_frames + 1):
        accepted &= solved_matrix(scene_state[first + middle], scene_state[goal - back])[own]
    whole = solved_matrix(scene_state[first], scene_state[goal])[own]
    whole &= ~solved_matrix(scene_state[first], scene_state[first + EARLY_FRAME]).any(axis=1)
    start = np.where(whole, first, first + middle)
    feasible = np.stack([is_feasible(row, scene_state[start]) for row in TASKS.values()], axis=-1)[own]
    rows = np.flatnonzero(accepted & feasible)
    return [Window(int(row), int(start[row]), int(index[row])) for row in rows]


def _events(windows: list[Window]) -> list[list[Window]]:
    groups: list[list[Window]] = []
    for window in sorted(windows, key=lambda item: (item.task_index, item.first)):
        last = groups[-1][-1] if groups else None
        joined = last is not None and last.task_index == window.task_index
        if joined and last is not None and window.first - last.first <= EVENT_GAP_FRAMES:
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups


def find_segments(
    scene_state: ArrayLike, rng: np.random.Generator, *, margin_frames: int = 0
) -> list[Segment]:
    """One segment per success event of an episode, by the rule at the top of this module.

    Args:
        scene_state: Scene states of one episode without reset, ``(T, 24)``.
        rng: Draws the middle frame of each window and the window kept of each event.
        margin_frames: The last frames before the window's goal frame in which success must already hold, 0
            (CALVIN's rule) to 14. With a margin an open-loop replay that lags by a few frames still ends
            solved; the windows that remain all obey CALVIN's rule too.

    Returns:
        Segments by start row; none if the episode is shorter than 65 frames.

    Raises:
        ValueError: If ``scene_state`` is not ``(T, 24)`` or ``margin_frames`` is out of range.
    """
    scene = np.asarray(scene_state, dtype=np.float64)
    if scene.ndim != 2 or scene.shape[1] != SCENE_STATE_DIM:
        raise ValueError(f"scene_state must have shape (T, {SCENE_STATE_DIM}), got {scene.shape}")
    limit = WINDOW_FRAMES - 2 - NEAR_END_FRAME
    if not 0 <= margin_frames <= limit:
        raise ValueError(f"margin_frames must be 0 to {limit}, got {margin_frames}")
    count = max(0, len(scene) - WINDOW_FRAMES)
    middle = rng.integers(MIDDLE_FRAMES[0], MIDDLE_FRAMES[1] + 1, size=count)
    chosen = [
        group[int(rng.integers(len(group)))]
        for group in _events(accepted_windows(scene, middle, margin_frames=margin_frames))
    ]
    return sorted(
        Segment(start=item.start, end=item.first + WINDOW_FRAMES, task=TASK_NAMES[item.task_index])
        for item in chosen
    )
