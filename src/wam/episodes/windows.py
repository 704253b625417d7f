"""Windows of consecutive frames that never cross the end of an episode."""

import numpy as np
from numpy.typing import NDArray


def tile_episode(length: int, steps: int, offset: int) -> NDArray[np.int64]:
    """First frames of the windows that tile one episode from an offset.

    The number of windows, ``length // steps``, does not depend on the offset: when the offset leaves one
    window too few, the episode's first window is added in front, so that true starts are often seen::

        length 10, steps 4, offset 2:   . . [2 . . 5][6 . . 9]
        length 10, steps 4, offset 3:  [0 . . 3] and [3 . . 6] . . .

    Args:
        length: Frames of the episode.
        steps: Frames of a window, at least 1.
        offset: Where tiling starts, 0 to ``steps - 1``.

    Returns:
        ``(length // steps,)`` first frames, ascending.
    """
    count = length // steps
    if count == 0 or offset <= length - count * steps:
        return offset + steps * np.arange(count)
    return np.concatenate([np.zeros(1, np.int64), offset + steps * np.arange(count - 1)])


def tile_episodes(
    start: NDArray[np.int64], length: NDArray[np.int64], steps: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """First rows of windows over all episodes, episodes in random order, each tiled from a random offset.

    Args:
        start: Row of the first frame of each episode, ``(E,)``.
        length: Frames of each episode, ``(E,)``; shorter ones than ``steps`` give no window.
        steps: Frames of a window.
        rng: Draws order and offsets.

    Returns:
        ``(sum(length // steps),)`` rows; windows of one episode stand next to each other, ascending.
    """
    order = rng.permutation(len(start))
    offsets = rng.integers(steps, size=len(start))
    parts = [
        start[episode] + tile_episode(int(length[episode]), steps, int(offsets[episode]))
        for episode in order
        if length[episode] >= steps
    ]
    return np.concatenate(parts)
