"""The two sets of one task's classifier, out of what the catalog holds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from wam.datasets import Arrays
from wam.demonstrations.balance import Balance
from wam.demonstrations.failures import SUCCESS_KIND, Attempts, Role, has_attempts, read_attempts
from wam.demonstrations.held_out import HeldOutSet, held_out_set
from wam.demonstrations.observed import observe_segments
from wam.demonstrations.reward_sets import (
    LabelledFrames,
    RewardSet,
    imagined_features,
    labelled_features,
    training_set,
)
from wam.episodes.rotation import RotationConvention
from wam.episodes.statistics import ProprioStatistics
from wam.world_model.featurize import featurize_segments
from wam.world_model.model import WorldModel

Features = Mapping[str, NDArray[Any]]
Featurize = Callable[[Attempts], Features]
Imagine = Callable[[Features, pd.DataFrame], RewardSet]


@dataclass(frozen=True)
class RewardSets:
    """What a classifier learns from and what it is judged on."""

    training: RewardSet
    held_out: HeldOutSet


@dataclass(frozen=True)
class TaskFrames:
    """Frames of one task at rest.

    Attributes:
        features: Features of its demonstrations.
        labels: Labels of their frames.
        attempts: Recorded attempts of all tasks.
        task: The task.
    """

    features: Features
    labels: pd.DataFrame
    attempts: Arrays
    task: str

    @classmethod
    def read(cls, features: Arrays, labels: pd.DataFrame, attempts: Arrays, task: str) -> "TaskFrames":
        """Read the task's part only."""
        mine = labels[labels["task"] == task]
        return cls(features.rows_where("segment", mine["segment"].unique().tolist()), mine, attempts, task)

    def attempts_of(
        self, role: Role, featurize: Featurize, convention: RotationConvention
    ) -> tuple[Features, pd.DataFrame, dict[int, str]]:
        """Features of the attempts of a role, the labels of their frames, and the kind of each."""
        attempts = read_attempts(self.attempts.lazily(), task=self.task, role=role, convention=convention)
        return featurize(attempts), attempts.labels().frames, dict(enumerate(attempts.table["kind"]))


@dataclass(frozen=True)
class Draw:
    """How frames without success are drawn.

    Attributes:
        negatives: Kept per episode.
        balance: Which of them.
        seed: Of the draws, and of latent samples.
    """

    negatives: int
    seed: int
    balance: Balance = "uniform"


def world_model_sets(
    model: WorldModel,
    frames: TaskFrames,
    draw: Draw,
    *,
    start_repeats: int,
    play: LabelledFrames | None = None,
) -> RewardSets:
    """Sets on features: demonstrations and attempts, both of them imagined, and play; held-out attempts.

    Args:
        model: In evaluation mode.
        frames: Of the task.
        draw: Of frames without success; its seed is also that of latent samples.
        start_repeats: Times the first frame of an attempt is filtered.
        play: Pairs of frames of play to learn from besides.
    """

    def featurize(attempts: Attempts) -> Features:
        return featurize_segments(
            model,
            attempts.episodes,
            attempts.table,
            start_repeats=start_repeats,
            fresh_samples=1,
            long_context=False,
            seed=draw.seed,
        )

    def imagine(features: Features, labels: pd.DataFrame) -> RewardSet:
        return imagined_features(model, features, labels, seed=draw.seed)

    return _sets(frames, featurize, imagine, draw, model.rotation_convention, play)


def proprio_sets(
    frames: TaskFrames, statistics: ProprioStatistics, draw: Draw, *, play: LabelledFrames | None = None
) -> RewardSets:
    """The same sets without eyes: proprioception of real frames; nothing is imagined.

    Args:
        frames: Of the task; its features are those of the proprio control.
        statistics: Range of each proprio value.
        draw: Of frames without success.
        play: Pairs of frames of play, as the control sees them.
    """

    def featurize(attempts: Attempts) -> Features:
        return observe_segments("proprio", attempts.episodes, attempts.table, statistics)

    return _sets(frames, featurize, None, draw, statistics.convention, play)


def _training_parts(
    frames: TaskFrames, featurize: Featurize, imagine: Imagine | None, convention: RotationConvention
) -> Iterator[RewardSet]:
    """Demonstrations and attempts, seen and imagined, one after another: each part is large."""
    recorded = has_attempts(frames.attempts.lazily(), "train")  # none as published
    attempts = frames.attempts_of("train", featurize, convention) if recorded else None
    yield labelled_features(frames.features, frames.labels)
    if attempts is not None:
        yield labelled_features(*attempts)
    if imagine is not None:
        yield imagine(frames.features, frames.labels)
    if imagine is not None and attempts is not None:
        yield imagine(*attempts[:2])


def _sets(
    frames: TaskFrames,
    featurize: Featurize,
    imagine: Imagine | None,
    draw: Draw,
    convention: RotationConvention,
    play: LabelledFrames | None,
) -> RewardSets:
    judged = labelled_features(*frames.attempts_of("held_out", featurize, convention))
    is_full = judged.kind == SUCCESS_KIND
    return RewardSets(
        training_set(
            _training_parts(frames, featurize, imagine, convention),
            seed=draw.seed,
            negatives=draw.negatives,
            balance=draw.balance,
            play=play,
        ),
        held_out_set(judged.rows(is_full), judged.rows(~is_full), seed=draw.seed, negatives=draw.negatives),
    )
