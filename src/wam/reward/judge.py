"""Whom imagination asks whether a task is solved: the classifier, or the scene read off features."""

from typing import Final, Literal, get_args

from wam.reward.classifier import RewardClassifier
from wam.reward.readout import ReadoutJudge, SceneReadout
from wam.tasks.table import task as task_called
from wam.training.checkpoint import Checkpoint

Judge = RewardClassifier | ReadoutJudge
"""Both have ``feat_dim``, ``inputs``, ``predict``, ``judges_carried_alone``, and ``page``: plain values that
tell one from another with the same weights."""
JudgeKind = Literal["classifier", "readout"]
JUDGES: Final[tuple[JudgeKind, ...]] = get_args(JudgeKind)


def judge_of(kind: JudgeKind, task: str, *, classifier: Checkpoint, readout: Checkpoint) -> Judge:
    """The judge that a page asks for, in evaluation mode.

    Args:
        kind: Which.
        task: The task.
        classifier: Of the task.
        readout: Of the world model.

    Raises:
        ValueError: If a checkpoint is of another kind, or the task is unknown.
    """
    if kind == "classifier":
        return RewardClassifier.from_checkpoint(classifier).eval()
    return ReadoutJudge(SceneReadout.from_checkpoint(readout), task_called(task)).eval()
