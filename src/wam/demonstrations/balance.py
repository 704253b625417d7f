"""Balanced sets: all successes and a few random failures of every episode."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Balance = Literal["uniform", "published"]
"""How frames without success are drawn."""
NEGATIVES_PER_EPISODE = 10
"""Random frames without success that are kept of every episode; published (docs/published.md, rewards)."""


def balanced_rows(
    episode: NDArray[np.integer],
    label: NDArray[np.bool_],
    *,
    rng: np.random.Generator,
    negatives: int = NEGATIVES_PER_EPISODE,
    balance: Balance = "uniform",
) -> NDArray[np.int64]:
    """Rows of a balanced set: per episode all positives and at most ``negatives`` random others.

    Uniform: the rows drawn are negatives, wherever they lie; an episode with fewer than asked for gives all
    it has. Published (docs/published.md, fault B5): places among an episode's negatives are drawn and taken
    for places in the episode, so that they fall on its first frames, which are negatives only where no
    success comes before one; an episode with fewer negatives than asked for gives none. The published draw is
    also unseeded, which is not repeated.

    Args:
        episode: (N,) episode of every row; the rows of one need not be adjacent.
        label: (N,) bool, success.
        rng: Draws the negatives.
        negatives: Negatives per episode, at least 0.
        balance: Which of the two.

    Returns:
        (M,) int64 rows, ascending; with the published balance a success may occur twice.

    Raises:
        ValueError: If lengths differ or ``negatives`` is below 0.
    """
    if episode.shape != label.shape or negatives < 0:
        raise ValueError(
            f"need one episode and label per row and negatives >= 0, "
            f"got {episode.shape}, {label.shape}, {negatives}"
        )
    if balance == "published":
        drawn = _published_draw(episode, label, rng, negatives)
        return np.sort(np.concatenate([np.flatnonzero(label), drawn])).astype(np.int64)
    failed = np.flatnonzero(~label)
    # A random order, then a stable sort by episode: the first few of each episode are a uniform draw.
    shuffled = rng.permutation(failed)
    grouped = shuffled[np.argsort(episode[shuffled], kind="stable")]
    _, first, count = np.unique(episode[grouped], return_index=True, return_counts=True)
    rank = np.arange(len(grouped)) - np.repeat(first, count)
    return np.sort(np.concatenate([np.flatnonzero(label), grouped[rank < negatives]])).astype(np.int64)


def _published_draw(
    episode: NDArray[np.integer], label: NDArray[np.bool_], rng: np.random.Generator, negatives: int
) -> NDArray[np.int64]:
    drawn = [np.zeros(0, np.int64)]
    for number in np.unique(episode):
        rows = np.flatnonzero(episode == number)
        failures = int((~label[rows]).sum())
        if failures >= negatives:
            drawn.append(rows[rng.choice(failures, size=negatives, replace=False)])
    return np.concatenate(drawn)
