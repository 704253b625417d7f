"""What a reward classifier is judged on: successes, each beside a failure at a like arm pose.

All frames are of attempts from starts of their own seed that no classifier was trained on. By the pairing, a
classifier that reads the arm alone cannot do well.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.demonstrations.balance import NEGATIVES_PER_EPISODE, balanced_rows
from wam.demonstrations.reward_sets import BEFORE, RewardSet, concatenate
from wam.reward.metrics import precision_recall
from wam.seeding import numpy_generator


@dataclass(frozen=True)
class HeldOutSet:
    """What classifiers are judged on.

    Attributes:
        frames: Successes, near misses at like arm poses, and frames before success.
        pair_distance: (P,) TCP distance (m) from each success to the near miss it is paired with.
    """

    frames: RewardSet
    pair_distance: NDArray[np.float64]

    def match_summary(self) -> dict[str, float]:
        """How like the arm poses are: pairs, and median and 90th percentile of the TCP distance (m)."""
        median, high = np.quantile(self.pair_distance, [0.5, 0.9])
        return {"pairs": float(len(self.pair_distance)), "median_m": float(median), "p90_m": float(high)}


def held_out_set(
    successes: RewardSet, near_misses: RewardSet, *, seed: int, negatives: int = NEGATIVES_PER_EPISODE
) -> HeldOutSet:
    """Pair every success with the nearest unused near miss, and add frames from before each success.

    Successes are dealt out evenly over the kinds of near misses: by distance alone the full motion made in
    vain, which ends exactly where a success ends, would take nearly all pairs. At least as many failures as
    successes: where a kind has too few frames, successes dealt to it are dropped.

    Args:
        successes: Frames of held-out attempts that succeeded.
        near_misses: Frames of held-out attempts that failed; only failures are used.
        seed: Of the order of pairing and of the frames before success.
        negatives: Frames before success that are added per successful attempt.

    Raises:
        ValueError: If there is no success or no near miss.
    """
    rng = numpy_generator(seed, "held_out_set")
    positive, failed = np.flatnonzero(successes.label), np.flatnonzero(~near_misses.label)
    if len(positive) == 0 or len(failed) == 0:
        raise ValueError(
            f"a held-out set needs successes and near misses, got {len(positive)} and {len(failed)} frames; "
            "record more held-out attempts"
        )
    kinds = np.unique(near_misses.kind[failed])
    parts, distances = [], []
    for kind, share in zip(kinds, np.array_split(rng.permutation(positive), len(kinds)), strict=True):
        candidates = failed[near_misses.kind[failed] == kind]
        dealt = share[: len(candidates)]
        partner, distance = nearest_unused(successes.proprio[dealt, :3], near_misses.proprio[candidates, :3])
        parts += [successes.rows(dealt), near_misses.rows(candidates[partner])]
        distances.append(distance)
    before = balanced_rows(successes.episode, successes.label, rng=rng, negatives=negatives)
    early = successes.rows(before[~successes.label[before]])
    parts.append(replace(early, kind=np.full(len(early), BEFORE)))
    return HeldOutSet(concatenate(parts), np.concatenate(distances))


def nearest_unused(
    points: NDArray[np.floating], candidates: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pair points with candidates one to one, each taking the nearest that is left, in the order given.

    Args:
        points: (P, d).
        candidates: (Q, d), Q >= P.

    Returns:
        Index of each point's candidate (P,) int64, and the distances (P,).

    Raises:
        ValueError: If there are fewer candidates than points.
    """
    if len(candidates) < len(points):
        raise ValueError(f"{len(points)} points cannot be paired with only {len(candidates)} candidates")
    distance = np.linalg.norm(points[:, None].astype(np.float64) - candidates[None], axis=-1)
    chosen, apart = np.zeros(len(points), np.int64), np.zeros(len(points))
    for row in range(len(points)):
        chosen[row] = int(distance[row].argmin())
        apart[row] = distance[row, chosen[row]]
        distance[:, chosen[row]] = np.inf
    return chosen, apart


def detection_table(
    frames: RewardSet, predicted: NDArray[np.bool_], *, undecidable: Collection[str] = ()
) -> pd.DataFrame:
    """How well successes are detected, in all and by kind of frame.

    Args:
        frames: A held-out set.
        predicted: (N,) decisions.
        undecidable: Kinds that no single picture can tell from a success (``failures.undecidable_kinds``).

    Returns:
        Columns kind, positives, negatives, precision, recall, false_positive_rate (NaN where undefined). Row
        ``all`` counts everything, row ``decidable`` leaves the undecidable kinds out, one row per kind
        follows.
    """
    kinds = frames.kind.tolist()
    groups = {"all": np.ones(len(frames), np.bool_), "decidable": ~np.isin(frames.kind, list(undecidable))}
    groups |= {kind: frames.kind == kind for kind in dict.fromkeys(kinds)}
    lines = []
    for name, rows in groups.items():
        counts = precision_recall(frames.label[rows], predicted[rows])
        negatives = counts.false_positive + counts.true_negative
        positives = counts.true_positive + counts.false_negative
        rate = counts.false_positive / negatives if negatives else None
        lines.append((name, positives, negatives, counts.precision, counts.recall, rate))
    columns = ["kind", "positives", "negatives", "precision", "recall", "false_positive_rate"]
    return pd.DataFrame(lines, columns=columns).astype(dict.fromkeys(columns[3:], float))
