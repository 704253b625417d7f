"""Labelled features of one task: the frames that its reward classifier learns from.

Expert segments (real features), the same segments imagined, and attempts of experts, both near misses and
successes, real and imagined; each balanced per episode. What a classifier is judged on is in ``held_out``.

Success is relative to the start of the attempt: an opening of 15 cm is a success from 0 cm and a failure from
6 cm, and a drawer pulled that was open before looks like one that was opened. So every frame also carries the
feature of its episode's first frame, for classifiers that see it. Labels are the oracle's in any case; what a
classifier cannot resolve shows up as error, listed by kind of failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.demonstrations.balance import NEGATIVES_PER_EPISODE, Balance, balanced_rows
from wam.demonstrations.imagined import imagine_demonstrations
from wam.seeding import numpy_generator
from wam.world_model.model import WorldModel

SegmentFeatures = Mapping[str, NDArray[np.generic]]
"""Rows of features as ``featurize_segments`` gives them: feat, action, proprio, segment, context, step."""

REAL, IMAGINED, BEFORE = "real", "imagined", "before_success"
"""Kinds of frames that are not near misses: filtered expert frames, imagined ones, and the frames of a
held-out successful attempt before it succeeded."""


class LabelledFrames(Protocol):
    """Frames that can become part of a set; their features may still be on disk, and are gigabytes."""

    @property
    def width(self) -> int:
        """2F, of a row of ``with_start``."""

    @property
    def proprio(self) -> NDArray[np.float32]:
        """(N, 18) raw proprio; NaN where there is none."""

    @property
    def label(self) -> NDArray[np.bool_]:
        """(N,) success by the oracle."""

    @property
    def episode(self) -> NDArray[np.int64]:
        """(N,) episode within the part."""

    @property
    def kind(self) -> NDArray[np.str_]:
        """(N,) where the frame comes from."""

    def write_to(self, with_start: NDArray[np.float32]) -> None:
        """Put the features where they belong, (N, 2F), contiguous."""


@dataclass(frozen=True)
class RewardSet:
    """Labelled frames.

    Attributes:
        with_start: (N, 2F) float32, the feature of each frame beside that of the first frame of the same
            episode (segment or attempt, in the same context); for imagined frames the filtered feature that
            imagination started from. Side by side, so that nothing is copied to show both.
        proprio: (N, 18) float32 raw proprio; NaN where the frame was imagined and has none.
        label: (N,) bool, success by the oracle.
        episode: (N,) int64, episode within the set.
        kind: (N,) str, where the frame comes from.
    """

    with_start: NDArray[np.float32]
    proprio: NDArray[np.float32]
    label: NDArray[np.bool_]
    episode: NDArray[np.int64]
    kind: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def width(self) -> int:
        """2F, of a row of ``with_start``."""
        return int(self.with_start.shape[1])

    def write_to(self, with_start: NDArray[np.float32]) -> None:
        """Copy the features, (N, 2F)."""
        with_start[:] = self.with_start

    @property
    def feat(self) -> NDArray[np.float32]:
        """(N, F), the features of the frames."""
        return self.with_start[:, : self.with_start.shape[1] // 2]

    @property
    def start_feat(self) -> NDArray[np.float32]:
        """(N, F), those of the first frames of their episodes."""
        return self.with_start[:, self.with_start.shape[1] // 2 :]

    def rows(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "RewardSet":
        """The frames at some rows (or where a mask is True)."""
        return RewardSet(
            self.with_start[rows],
            self.proprio[rows],
            self.label[rows],
            self.episode[rows],
            self.kind[rows],
        )

    def inputs(self, *, sees_start: bool) -> NDArray[np.float32]:
        """What a classifier is shown of every frame, (N, F), or (N, 2F) with the start beside it."""
        return self.with_start if sees_start else np.ascontiguousarray(self.feat)


def concatenate(sets: Sequence[LabelledFrames]) -> RewardSet:
    """One set from several, their episodes kept apart.

    Raises:
        ValueError: If there are no sets, or features differ in width.
    """
    widths = {part.width for part in sets}
    if len(widths) != 1:
        raise ValueError(f"need reward sets of one width, got {sorted(widths) or 'none'}")
    offsets = np.cumsum([0, *(int(part.episode.max(initial=-1)) + 1 for part in sets[:-1])])
    ends = np.cumsum([len(part.label) for part in sets])
    with_start = np.empty((ends[-1], sets[0].width), np.float32)
    for part, end in zip(sets, ends, strict=True):
        part.write_to(with_start[end - len(part.label) : end])
    return RewardSet(
        with_start=with_start,
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
        labels: Columns segment, step, label, as ``label_segments`` and ``Attempts.labels`` give them. Feature
            rows of segments without labels are left out.
        kinds: Kind of each segment; ``real`` by default.

    Returns:
        The labelled features, in the order of the rows.

    Raises:
        ValueError: If a labelled segment has a feature at a step without a label, or none of its first frame.
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
    episode = episode.reshape(-1).astype(np.int64)
    feat = np.asarray(features["feat"], np.float32)[kept]
    kind = [REAL if kinds is None else kinds[int(number)] for number in segment[kept]]
    return RewardSet(
        with_start=pairs_of(feat, np.arange(len(feat)), _first_rows(episode, step[kept])[episode]),
        proprio=np.asarray(features["proprio"], np.float32)[kept],
        label=found.to_numpy(np.bool_),
        episode=episode,
        kind=np.array(kind, np.str_),
    )


def pairs_of(
    feat: NDArray[np.float32], frames: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Features at some rows, each beside that of its start, (n, 2F): a set's ``with_start``.

    Args:
        feat: (N, F).
        frames: (n,) rows.
        starts: (n,) rows of their starts.
    """
    return feat[np.stack((frames, starts), axis=1)].reshape(len(frames), -1)


def _first_rows(episode: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of step 0 of every episode."""
    first = np.full(int(episode.max(initial=-1)) + 1, -1, np.int64)
    rows = np.flatnonzero(step == 0)
    first[episode[rows]] = rows
    if (first < 0).any():
        raise ValueError(
            f"{int((first < 0).sum())} of {len(first)} episodes lack the feature of their first frame, which "
            "success is relative to; featurize whole segments"
        )
    return first


def imagined_features(
    world_model: WorldModel, features: SegmentFeatures, labels: pd.DataFrame, *, seed: int
) -> RewardSet:
    """Imagine every labelled segment, in every context, with the recorded labels.

    Args:
        world_model: In evaluation mode.
        features: As in :func:`labelled_features`, steps ascending within each (segment, context).
        labels: As there.
        seed: Of the latent samples.

    Returns:
        T - 1 imagined frames per segment and context.
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
        with_start=np.concatenate((imagined.feat, real.start_feat[source]), axis=1),
        proprio=np.full((len(source), real.proprio.shape[1]), np.nan, np.float32),
        label=real.label[source],
        episode=imagined.demonstration,
        kind=np.full(len(source), IMAGINED),
    )


def balanced(
    frames: RewardSet, *, seed: int, negatives: int = NEGATIVES_PER_EPISODE, balance: Balance = "uniform"
) -> RewardSet:
    """All successes and a few random failures of every episode; see :func:`balanced_rows`."""
    rng = numpy_generator(seed, "balanced", len(frames))
    return frames.rows(
        balanced_rows(frames.episode, frames.label, rng=rng, negatives=negatives, balance=balance)
    )


def training_set(
    parts: Iterable[RewardSet],
    *,
    seed: int,
    negatives: int = NEGATIVES_PER_EPISODE,
    balance: Balance = "uniform",
    play: LabelledFrames | None = None,
) -> RewardSet:
    """Balance every part per episode, and put them together.

    Args:
        parts: Made one after another, as each is large.
        seed: Of the draws.
        negatives: See :func:`balanced_rows`.
        balance: As there.
        play: Frames that are drawn already, and kept whole.

    Raises:
        ValueError: If no frame is a success, or none a failure.
    """
    kept: list[LabelledFrames] = [
        balanced(part, seed=seed, negatives=negatives, balance=balance) for part in parts
    ]
    whole = concatenate(kept if play is None else [*kept, play])
    if whole.label.all() or not whole.label.any():
        raise ValueError(
            f"all {len(whole)} training frames have the label {bool(whole.label.all())}: "
            "a classifier needs both; look at the replay success of the segments"
        )
    return whole
