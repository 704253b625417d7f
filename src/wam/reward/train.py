"""Training of a reward classifier on labelled frames."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from wam.contracts import LossOutput
from wam.nn.linear_init import fan_in_uniform_
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig, RewardTrainingConfig
from wam.training.config import steps_in_all
from wam.training.loop import TrainingResult, train
from wam.training.passes import ShuffledPasses, Stateless


class RewardObjective(Stateless):
    """Contrastive classification on labelled frames; each batch is a function of seed and step.

    Args:
        classifier: Trained module.
        feat: ``(N, I)`` inputs, on the classifier's device.
        label: ``(N,)`` bool, True where the task is solved.
        batch: Frames per gradient step.
        balanced: Half of every batch from each class, each in shuffled passes of its own; else shuffled
            passes over all frames.
        seed: Seed of the shuffles.
    """

    def __init__(
        self,
        classifier: RewardClassifier,
        feat: Tensor,
        label: Tensor,
        *,
        batch: int,
        balanced: bool,
        seed: int,
    ) -> None:
        self.classifier = classifier
        self.feat = feat
        self.label = label
        marks = label.cpu().numpy()
        if balanced:
            groups = [(np.flatnonzero(marks), batch // 2), (np.flatnonzero(~marks), batch - batch // 2)]
        else:
            groups = [(np.arange(len(marks)), batch)]
        self._groups = [
            ShuffledPasses(rows, size, seed, "reward order", str(i), whole=balanced)
            for i, (rows, size) in enumerate(groups)
        ]

    def modules(self) -> nn.Module:
        """The classifier."""
        return self.classifier

    def loss(self, step: int) -> LossOutput:
        """Loss on the batch of gradient step ``step``."""
        rows = torch.from_numpy(np.concatenate([group.rows(step) for group in self._groups]))
        rows = rows.to(self.feat.device)
        return self.classifier.loss(self.feat[rows], self.label[rows])


def train_classifier(
    feat: Float32[np.ndarray, "N I"],
    label: Bool[np.ndarray, " N_label"],
    classifier_config: ClassifierConfig,
    training: RewardTrainingConfig,
    *,
    seed: int,
    parts: Sequence[int] = (),
    device: torch.device | str = "cpu",
    stop_after: int | None = None,
    description: str = "reward classifier",
) -> tuple[RewardClassifier, TrainingResult]:
    """Train a classifier from seeded weights.

    Args:
        feat: Inputs, each beside its start where the classifier sees it (``reward.inputs``).
        label: True where the task is solved.
        classifier_config: Network, loss and decision.
        training: Length, batches, optimiser.
        seed: Seed of weights and batches.
        parts: Widths of the parts of one feature, for ``parts_alike``.
        device: Where to train; the classifier is returned on the CPU.
        stop_after: End after this many steps although more are planned.
        description: Shown at the progress bar.

    Raises:
        ValueError: If the rows differ in number, a class has no frame, an input is not finite, or inputs that
            should hold two features have an odd width.
    """
    _check(feat, label)
    classifier = RewardClassifier(_feat_dim(feat, classifier_config), classifier_config)
    fan_in_uniform_(classifier, seed)
    inputs, marks = torch.from_numpy(feat), torch.from_numpy(label)
    classifier.fit_input(inputs, parts)
    classifier.to(device)
    objective = RewardObjective(
        classifier,
        inputs.to(device),
        marks.to(device),
        batch=training.batch,
        balanced=training.balanced,
        seed=seed,
    )
    result = train(
        objective,
        steps=steps_in_all(training.steps, training.epochs, math.ceil(len(feat) / training.batch)),
        optimizer=training.optimizer,
        stop_after=stop_after,
        description=description,
    )
    return classifier.cpu(), result


def _feat_dim(feat: np.ndarray, page: ClassifierConfig) -> int:
    width = int(feat.shape[1])
    if page.sees_start and width % 2:
        raise ValueError(
            f"sees_start is on, but inputs are {width} wide, not two features; join them with reward.inputs"
        )
    return width // 2 if page.sees_start else width


def _check(feat: np.ndarray, label: np.ndarray) -> None:
    if len(feat) != len(label):
        raise ValueError(f"{len(feat)} inputs and {len(label)} labels; give one label per input")
    if not np.isfinite(feat).all():
        raise ValueError(
            "inputs of the reward classifier are not finite; look at the features they came from"
        )
    positive = int(label.sum())
    if positive in (0, len(label)):
        raise ValueError(
            f"{positive} of {len(label)} frames show success; a classifier needs both classes, "
            "so look at the replay labels of this task"
        )
