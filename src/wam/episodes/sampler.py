"""Streams of consecutive windows for training a recurrent model with carried state.

Time runs along the steps, one stream per row of the batch::

    step          0          1          2          3
    stream 0   [0 .. T)   [T .. 2T)  |[0 .. T)   [T .. 2T)     | = another episode: starts_new
    stream 1   [7 .. T+7) ...

The state a model carries from step to step belongs to the stream; where ``starts_new`` is set it must be
reset.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION, IMAGE_GRIPPER, IMAGE_STATIC, IS_FIRST, PREV_ACTION, PROPRIO
from wam.episodes.loaded import Episodes
from wam.episodes.windows import tile_episodes
from wam.seeding import numpy_generator

KEPT_LISTS: Final = 2
"""Passes whose lists of windows are kept: a step asks for itself and the one before."""


class StreamSampler:
    """Windows of every training step as a pure function of the seed and the step.

    Passes over the data: in each, the episodes are shuffled and tiled into windows, and the list of windows
    is cut into one stretch per stream.

    Attributes:
        batch: Streams, B.
        sequence_steps: Frames of a window, T.
        steps_per_pass: Steps in which every stream reads its stretch once (at least 1).

    Raises:
        ValueError: If a size is below 1 or no episode is as long as a window.
    """

    def __init__(
        self,
        episode_start: NDArray[np.int64],
        episode_length: NDArray[np.int64],
        *,
        batch: int,
        sequence_steps: int,
        seed: int,
    ) -> None:
        for name, value in {"batch": batch, "sequence_steps": sequence_steps}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.batch = batch
        self.sequence_steps = sequence_steps
        self._start = np.asarray(episode_start, np.int64)
        self._length = np.asarray(episode_length, np.int64)
        self._seed = seed
        self._windows = int((self._length // sequence_steps).sum())
        if self._windows == 0:
            longest = int(self._length.max(initial=0))
            raise ValueError(
                f"no episode is as long as a window: sequence_steps is {sequence_steps}, the longest episode "
                f"has {longest} frames; record longer episodes or lower sequence_steps"
            )
        self.steps_per_pass = max(1, self._windows // batch)
        self._list = lru_cache(maxsize=KEPT_LISTS)(self._make_list)

    def rows(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of one training step.

        Args:
            step: Training step, at least 0; any order.

        Returns:
            ``rows (B, T)``, and ``starts_new (B,)``: True where the window does not continue the one of
            ``step - 1``, so that carried state must be reset (everywhere at step 0).

        Raises:
            ValueError: If ``step`` is negative.
        """
        if step < 0:
            raise ValueError(f"step must be at least 0, got {step}")
        first = self._first_rows(step)
        if step == 0:
            starts_new = np.ones(self.batch, np.bool_)
        else:
            follows = first == self._first_rows(step - 1) + self.sequence_steps
            starts_new = ~follows | np.isin(first, self._start)
        return first[:, None] + np.arange(self.sequence_steps), starts_new

    def _make_list(self, index: int) -> NDArray[np.int64]:
        rng = numpy_generator(self._seed, "windows", index)
        return tile_episodes(self._start, self._length, self.sequence_steps, rng)

    def _first_rows(self, step: int) -> NDArray[np.int64]:
        index, position = divmod(step, self.steps_per_pass)
        stretch = self.steps_per_pass * np.arange(self.batch)
        return self._list(index)[(stretch + position) % self._windows]


def gather_batch(episodes: Episodes, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The frames of a batch of windows.

    Args:
        episodes: Episodes loaded with images.
        rows: ``(B, T)`` rows.

    Returns:
        By batch key: ``image_static`` and ``image_gripper (B, T, 64, 64, 3)`` uint8, ``proprio (B, T, 18)``,
        ``action`` and ``prev_action (B, T, 7)`` float32, ``is_first (B, T)`` bool. Copies: the episodes are
        never changed.
    """
    batch: Mapping[str, NDArray[Any]] = {
        IMAGE_STATIC: np.take(episodes.image_static, rows, axis=0),
        IMAGE_GRIPPER: np.take(episodes.image_gripper, rows, axis=0),
        PROPRIO: np.take(episodes.proprio, rows, axis=0),
        ACTION: np.take(episodes.action, rows, axis=0),
        PREV_ACTION: episodes.prev_action_at(rows),
        IS_FIRST: episodes.is_first[rows],
    }
    return dict(batch)
