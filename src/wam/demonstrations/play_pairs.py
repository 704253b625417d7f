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

from wam.episodes.loaded import Episodes
from wam.seeding import numpy_generator
from wam.tasks.predicates import is_feasible, succeeded
from wam.tasks.table import task as task_called

PLAY: Final = "play"
"""Kind of these frames."""
DRAWN_AT_ONCE: Final = 100_000
READ_AT_ONCE: Final = 4096
"""Frames whose features are read from disk at a time."""
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


@dataclass(frozen=True)
class PlayFrames:
    """The later frame of every pair, its episode's start the earlier one; features are read when asked for.

    Attributes:
        pairs: Of one task.
        proprio: (n, 18) raw proprio of the later frames.
        features: Reads features.
        feat_dim: F, their width.
    """

    pairs: PlayPairs
    proprio: NDArray[np.float32]
    features: FeaturesAt
    feat_dim: int

    @property
    def width(self) -> int:
        """2F, of a frame beside its start."""
        return 2 * self.feat_dim

    @property
    def label(self) -> NDArray[np.bool_]:
        """(n,) whether the task was done between the frames."""
        return self.pairs.label

    @property
    def episode(self) -> NDArray[np.int64]:
        """(n,) a number for each pair."""
        return np.arange(len(self.pairs.label))

    @property
    def kind(self) -> NDArray[np.str_]:
        """(n,) all of them are play."""
        return np.full(len(self.pairs.label), PLAY)

    def write_to(self, with_start: NDArray[np.float32]) -> None:
        """Read the features into their places, (n, 2F), a block of ascending rows at a time."""
        pairs = np.stack((self.pairs.end, self.pairs.start), axis=1)
        rows, places = np.unique(pairs, return_inverse=True)
        places, halves = places.reshape(pairs.shape), with_start.reshape(*pairs.shape, self.feat_dim)
        for at in range(0, len(rows), READ_AT_ONCE):
            block = self.features(rows[at : at + READ_AT_ONCE])
            here = (at <= places) & (places < at + len(block))
            halves[here] = block[places[here] - at]
