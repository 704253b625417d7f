"""Balanced sets: all successes and a few random failures of every episode."""

import numpy as np
from numpy.typing import NDArray

NEGATIVES_PER_EPISODE = 10
"""Random frames without success that are kept of every episode; published (docs/published.md, rewards)."""


def balanced_rows(
    episode: NDArray[np.integer],
    label: NDArray[np.bool_],
    *,
    rng: np.random.Generator,
    negatives: int = NEGATIVES_PER_EPISODE,
) -> NDArray[np.int64]:
    """Rows of a balanced set: per episode all positives and at most ``negatives`` random others.

    The published code draws positions among the negatives and applies them to the whole episode, unseeded
    (docs/published.md, fault B5); here the rows drawn are negatives, wherever they lie. An episode with fewer
    negatives than asked for gives all it has.

    Args:
        episode: (N,) episode of every row; the rows of one need not be adjacent.
        label: (N,) bool, success.
        rng: Draws the negatives.
        negatives: Negatives per episode, at least 0.

    Returns:
        (M,) int64 rows, ascending.

    Raises:
        ValueError: If lengths differ or ``negatives`` is below 0.
    """
    if episode.shape != label.shape or negatives < 0:
        raise ValueError(
            f"need one episode and label per row and negatives >= 0, "
            f"got {episode.shape}, {label.shape}, {negatives}"
        )
    failed = np.flatnonzero(~label)
    # A random order, then a stable sort by episode: the first few of each episode are a uniform draw.
    shuffled = rng.permutation(failed)
    grouped = shuffled[np.argsort(episode[shuffled], kind="stable")]
    _, first, count = np.unique(episode[grouped], return_index=True, return_counts=True)
    rank = np.arange(len(grouped)) - np.repeat(first, count)
    return np.sort(np.concatenate([np.flatnonzero(label), grouped[rank < negatives]])).astype(np.int64)
