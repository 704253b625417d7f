"""Frames of play as examples of success: a frame from which a task could be done, and a later one.

Demonstrations show success in few layouts, always beside a hand that has just done it, so a classifier learns
the hand. Play is full of other moments: the light that somebody turned on long ago, the hand at a switch that
stayed off. The oracle judges every such pair by the scenes that were recorded; nothing is replayed. Not part
of the published method (docs/learning/imagination.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray

from wam.demonstrations.reward_sets import RewardSet, pairs_of
from wam.episodes.loaded import Episodes
from wam.seeding import numpy_generator
from wam.tasks.predicates import is_feasible, succeeded
from wam.tasks.table import task as task_called

PLAY: Final = "play"
"""Kind of these frames."""
DRAWN_AT_ONCE: Final = 100_000
MOST_DRAWS: Final = 20
"""Times that so many pairs are drawn in search of successes: rare ones may stay fewer than asked for."""

FeaturesAt = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""What a classifier is shown of the frames in some ascending rows, ``(n, F)``."""


@dataclass(frozen=True)
class PlayPairs:
    """Pairs of frames of one episode each.

    Attributes:
        start: Rows of frames from which the task is possible.
        end: Rows of later frames.
        label: Whether the task was done between them.
    """

    start: Int64[np.ndarray, " n"]
    end: Int64[np.ndarray, " n"]
    label: Bool[np.ndarray, " n"]


def draw_play_pairs(episodes: Episodes, task: str, count: int, *, most_steps: int, seed: int) -> PlayPairs:
    """Draw pairs of frames evenly over play, as many successes as failures.

    Args:
        episodes: Play with its scenes; images are not needed.
        task: The task whose oracle judges.
        count: Pairs of each label; fewer where play has fewer.
        most_steps: Control steps between the frames of a pair, at most.
        seed: Of the draw.
    """
    rng, oracle = numpy_generator(seed, "play_pairs", task), task_called(task)
    scene, rows = episodes.scene_state, np.arange(episodes.num_frames)
    episode = episodes.episode_of(rows)
    last = (episodes.episode_start + episodes.episode_length - 1)[episode]
    starts = rows[is_feasible(oracle, scene) & (rows < last)]
    start = end = np.zeros(0, np.int64)
    done = np.zeros(0, np.bool_)
    for _ in range(MOST_DRAWS if len(starts) and count else 0):
        drawn = rng.choice(starts, DRAWN_AT_ONCE)
        later = np.minimum(drawn + rng.integers(1, most_steps + 1, len(drawn)), last[drawn])
        start, end = np.append(start, drawn), np.append(end, later)
        done = np.append(done, succeeded(oracle, scene[drawn], scene[later]))
        if done.sum() >= count:
            break
    kept = np.concatenate([np.flatnonzero(done)[:count], np.flatnonzero(~done)[:count]])
    return PlayPairs(start[kept], end[kept], done[kept])


def play_set(pairs: PlayPairs, episodes: Episodes, features: FeaturesAt) -> RewardSet:
    """The later frame of every pair with its label; the earlier one is its episode's start."""
    rows, places = np.unique(np.concatenate([pairs.start, pairs.end]), return_inverse=True)
    start, end = places.reshape(2, -1)
    return RewardSet(
        with_start=pairs_of(features(rows), end, start),
        proprio=episodes.proprio[pairs.end],
        label=pairs.label,
        episode=np.arange(len(pairs.label)),
        kind=np.full(len(pairs.label), PLAY),
    )
