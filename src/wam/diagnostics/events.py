"""Do imagined hands move things, and only what they touch?

A mean over play hides it: hardly anything changes there, so who says that nothing ever moves is right nearly
always. So held-out play is cut into stretches by what truly happens to one thing in each::

    moved   it changes within the stretch and stays changed     imagined with the true actions, does it?
    still   it does not change at all                           does it all the same?

Stretches in which a thing changes and comes back, or a little, are of neither kind.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.demonstrations.imagined import imagine_demonstrations
from wam.diagnostics.frames import JudgedFrames
from wam.diagnostics.quantities import CM, SCENE, Quantity
from wam.diagnostics.ridge import LinearProbes
from wam.episodes.loaded import Episodes
from wam.tasks.table import LIGHT_ON, SCENE_UNITS, TASKS
from wam.world_model.model import WorldModel

STRIDE: Final = 4
"""Frames between the starts of neighbouring stretches."""
MOVED: Final = 5.0
"""Centimetres that a joint that moved has come at least; lights change by 1."""
STILL: Final = 0.5
"""Centimetres that a joint that stood still came at most."""
MOST: Final = 256
"""Stretches of a kind and thing that are looked at, evenly spread."""
COLUMNS: Final = (
    *("quantity", "is_light", "moved", "noticed", "moved_error", "moved_guess"),
    *("still", "made_up", "still_error"),
)

THINGS: Final = {index: SCENE[index] for index in sorted({task.quantity for task in TASKS.values()})}
"""What tasks move, by index in the scene state."""


def measure_events(
    model: WorldModel,
    probes: LinearProbes,
    judged: JudgedFrames,
    listed: Sequence[Quantity],
    *,
    steps: int,
    seed: int,
) -> pd.DataFrame:
    """Imagine stretches of held-out play in which a thing moves, and such in which it does not.

    The scene is read where the state carries it, by probes elsewhere.

    Args:
        model: In evaluation mode.
        probes: Fitted to posterior features.
        judged: Held-out frames and their features.
        listed: The quantities of the probes.
        steps: Frames of a stretch.
        seed: Of the sampled states.

    Returns:
        A row a thing, columns ``COLUMNS``: stretches of both kinds; ``noticed`` is the share of changed
        lights that are imagined to change, of joints the imagined distance over the true one; ``made_up`` the
        share of still things imagined to change (joints: by ``MOVED`` or more). Errors are at the end, mean
        absolute, cm for joints; ``moved_guess`` is that of who says that nothing moves. NaN where a kind has
        no stretch.
    """
    episodes, truth = judged.episodes, judged.truth
    start, names = _starts(episodes, steps), [one.name for one in listed]
    lines = []
    for index, quantity in THINGS.items():
        place = names.index(quantity.name)
        path = truth[start[:, None] + np.arange(steps + 1)][..., place]
        kinds = _kinds(path - path[:, :1], is_light=quantity.is_light)
        moved, still = (_spread(start[which]) for which in kinds)
        rows = np.concatenate([moved, still])
        ends = judged.feat[rows], _imagined_end(model, judged, rows, steps, seed)
        found = np.stack([_read(model, probes, feat, index, place) for feat in ends], axis=1)
        true = truth[np.stack([rows, rows + steps], axis=1)][..., place]
        figures = _figures(found, true, len(moved), is_light=quantity.is_light)
        lines.append({"quantity": quantity.name, "is_light": quantity.is_light, **figures})
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _starts(episodes: Episodes, steps: int) -> NDArray[np.int64]:
    """First rows of all stretches of ``steps + 1`` frames."""
    spans = zip(episodes.episode_start, episodes.episode_length, strict=True)
    parts = [np.arange(first, first + length - steps, STRIDE) for first, length in spans]
    return np.concatenate(parts).astype(np.int64)


def _kinds(change: NDArray[np.float64], *, is_light: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which stretches, by changes since their start ``(n, steps + 1)``, moved and which stood still.

    What moved did so in the middle: not at once, where the first frame shows it under way, and early enough
    for imagination to have seen the hand's whole motion.
    """
    size = np.abs(change)
    least, most = (0.5, 0.5) if is_light else (MOVED, STILL)
    steps = size.shape[1] - 1
    quarter = steps // 4
    calm = (size[:, : quarter + 1] < most).all(axis=1)
    over = (size[:, steps - quarter :] >= least).all(axis=1)
    return np.asarray(calm & over), np.asarray((size < most).all(axis=1))


def _spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(np.int64))]


def _imagined_end(
    model: WorldModel, judged: JudgedFrames, rows: NDArray[np.int64], steps: int, seed: int
) -> NDArray[np.float32]:
    """Features ``(n, F)`` that the true actions of each stretch lead to, its first frame seen."""
    actions = judged.episodes.action[rows[:, None] + np.arange(steps + 1)]
    if len(rows) == 0:
        return judged.feat[rows]
    imagined = imagine_demonstrations(model, judged.feat[rows], list(actions), seed=seed).feat
    return imagined.reshape(len(rows), steps, -1)[:, -1]


def _read(
    model: WorldModel, probes: LinearProbes, feat: NDArray[np.float32], index: int, place: int
) -> NDArray[np.float64]:
    at = model.config.scene_at
    if at is None:
        return np.asarray(probes.read(feat)[:, place], np.float64)
    unit = SCENE_UNITS[index] * (1.0 if SCENE[index].is_light else CM)
    return np.asarray(feat[:, at + index], np.float64) * unit


def _figures(
    found: NDArray[np.float64], true: NDArray[np.float64], moved: int, *, is_light: bool
) -> dict[str, float]:
    """Figures of one thing from its values ``(n, 2)`` at start and end, those that moved first."""
    change, truth = found[:, 1] - found[:, 0], true[:, 1] - true[:, 0]
    changed = np.abs(change) >= MOVED
    wrong = np.abs(change - truth)
    if is_light:  # by the rule of every other reading: which side of the middle it is on
        changed = (found[:, 1] > LIGHT_ON) != (found[:, 0] > LIGHT_ON)
        noticed = _mean(changed[:moved])
        wrong = (changed != (np.abs(truth) > 0.5)).astype(np.float64)
    else:
        noticed = _mean((change * np.sign(truth))[:moved]) / _mean(np.abs(truth)[:moved])
    return {
        "moved": moved,
        "noticed": noticed,
        "moved_error": _mean(wrong[:moved]),
        "moved_guess": _mean(np.abs(truth)[:moved]),
        "still": len(found) - moved,
        "made_up": _mean(changed[moved:]),
        "still_error": _mean(wrong[moved:]),
    }


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
