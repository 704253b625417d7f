"""Training and held-out sets of the reward classifiers, of one task.

Training: expert segments (real features), the same segments imagined, and near misses, each balanced per
episode. Held out: attempts from starts of their own seed that no classifier was trained on; every success is
paired with a failure at a like arm pose, so that a classifier that reads the arm alone cannot do well.

Success of drawers and sliders is relative to the start of the attempt, but a classifier sees a single
feature: an opening of 15 cm is a success from 0 cm and a failure from 6 cm, and a drawer pulled that was open
before looks like one that was opened. Labels stay the oracle's; what the feature's memory of the start does
not resolve shows up as error, listed by kind of failure.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.demonstrations.balance import NEGATIVES_PER_EPISODE, balanced_rows
from wam.demonstrations.imagined import imagine_demonstrations
from wam.reward.metrics import precision_recall
from wam.seeding import numpy_generator
from wam.world_model.model import WorldModel

SegmentFeatures = Mapping[str, NDArray[np.generic]]
"""Rows of features as ``featurize_segments`` gives them: feat, action, proprio, segment, context, step."""

REAL, IMAGINED, BEFORE = "real", "imagined", "before_success"
"""Kinds of frames that are not near misses: filtered expert frames, imagined ones, and the frames of a
held-out successful attempt before it succeeded."""


@dataclass(frozen=True)
class RewardSet:
    """Labelled frames.

    Attributes:
        feat: (N, F) float32 features.
        proprio: (N, 18) float32 raw proprio; NaN where the frame was imagined and has none.
        label: (N,) bool, success by the oracle.
        episode: (N,) int64, episode within the set.
        kind: (N,) str, where the frame comes from.
    """

    feat: NDArray[np.float32]
    proprio: NDArray[np.float32]
    label: NDArray[np.bool_]
    episode: NDArray[np.int64]
    kind: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "RewardSet":
        """The frames at some rows (or where a mask is True)."""
        return RewardSet(
            self.feat[rows], self.proprio[rows], self.label[rows], self.episode[rows], self.kind[rows]
        )

    @property
    def real_only(self) -> "RewardSet":
        """Frames that were seen, not imagined: all that a proprio-only control can learn from."""
        return self.rows(self.kind != IMAGINED)


def concatenate(sets: Sequence[RewardSet]) -> RewardSet:
    """One set from several, their episodes kept apart.

    Raises:
        ValueError: If there are no sets.
    """
    if not sets:
        raise ValueError("need at least one reward set, got none")
    offsets = np.cumsum([0, *(int(part.episode.max(initial=-1)) + 1 for part in sets[:-1])])
    return RewardSet(
        feat=np.concatenate([part.feat for part in sets]),
        proprio=np.concatenate([part.proprio for part in sets]),
        label=np.concatenate([part.label for part in sets]),
        episode=np.concatenate([part.episode + at for part, at in zip(sets, offsets, strict=True)]),
        kind=np.concatenate([part.kind for part in sets]),
    )


def labelled_features(
    features: SegmentFeatures, labels: pd.DataFrame, kinds: Mapping[int, str] | None = None
) -> RewardSet:
    """Pair every feature with the label of the frame that it describes.

    Args:
        features: Rows of some segments, in every context; each (segment, context) is an episode of the set.
        labels: Columns segment, step, label, as ``label_segments`` and ``record_failures`` give them. Feature
            rows of segments without labels are left out.
        kinds: Kind of each segment; ``real`` by default.

    Returns:
        The labelled features, in the order of the rows.

    Raises:
        ValueError: If a labelled segment has a feature at a step without a label.
    """
    segment, step = np.asarray(features["segment"], np.int64), np.asarray(features["step"], np.int64)
    kept = np.isin(segment, labels["segment"].unique())
    index = pd.MultiIndex.from_arrays([segment[kept], step[kept]])
    found = labels.set_index(["segment", "step"])["label"].reindex(index)
    if found.isna().any():
        raise ValueError(
            f"segment and step {found.index[found.isna()][0]} have a feature but no label: "
            "label the segments that the features were made of"
        )
    context = np.asarray(features["context"], np.int64)[kept]
    _, episode = np.unique(np.stack([segment[kept], context]), axis=1, return_inverse=True)
    kind = [REAL if kinds is None else kinds[int(number)] for number in segment[kept]]
    return RewardSet(
        feat=np.asarray(features["feat"], np.float32)[kept],
        proprio=np.asarray(features["proprio"], np.float32)[kept],
        label=found.to_numpy(np.bool_),
        episode=episode.reshape(-1).astype(np.int64),
        kind=np.array(kind, np.str_),
    )


def imagined_features(
    world_model: WorldModel, features: SegmentFeatures, labels: pd.DataFrame, *, seed: int
) -> RewardSet:
    """Imagine every labelled demonstration, in every context, with the recorded labels.

    Args:
        world_model: In evaluation mode.
        features: As in :func:`labelled_features`, steps ascending within each (segment, context).
        labels: As there.
        seed: Of the latent samples.

    Returns:
        T - 1 imagined frames per demonstration.
    """
    real = labelled_features(features, labels)
    kept = np.isin(np.asarray(features["segment"], np.int64), labels["segment"].unique())
    action = np.asarray(features["action"], np.float32)[kept]
    members = [np.flatnonzero(real.episode == number) for number in range(int(real.episode.max()) + 1)]
    imagined = imagine_demonstrations(
        world_model,
        real.feat[[rows[0] for rows in members]],
        [action[rows] for rows in members],
        seed=seed,
    )
    source = np.array([members[d][t] for d, t in zip(imagined.demonstration, imagined.step, strict=True)])
    return RewardSet(
        feat=imagined.feat,
        proprio=np.full((len(source), real.proprio.shape[1]), np.nan, np.float32),
        label=real.label[source],
        episode=imagined.demonstration,
        kind=np.full(len(source), IMAGINED),
    )


def balanced(frames: RewardSet, *, seed: int, negatives: int = NEGATIVES_PER_EPISODE) -> RewardSet:
    """All successes and a few random failures of every episode; see :func:`balanced_rows`."""
    rng = numpy_generator(seed, "balanced", len(frames))
    return frames.rows(balanced_rows(frames.episode, frames.label, rng=rng, negatives=negatives))


def training_set(
    parts: Sequence[RewardSet], *, seed: int, negatives: int = NEGATIVES_PER_EPISODE
) -> RewardSet:
    """Balance real, imagined and near-miss frames alike, and put them together.

    Raises:
        ValueError: If no frame is a success, or none a failure.
    """
    whole = concatenate([balanced(part, seed=seed, negatives=negatives) for part in parts])
    if whole.label.all() or not whole.label.any():
        raise ValueError(
            f"all {len(whole)} training frames have the label {bool(whole.label.all())}: "
            "a classifier needs both; look at the replay success of the segments"
        )
    return whole


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
