"""Precision and recall of success detection."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool


@dataclass(frozen=True)
class DetectionQuality:
    """Counts of a detector's decisions, and the ratios that follow.

    Attributes:
        true_positive: Solved frames called solved.
        false_positive: Unsolved frames called solved.
        false_negative: Solved frames missed.
        true_negative: Unsolved frames called unsolved.
    """

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def precision(self) -> float | None:
        """Share of the frames called solved that are; None if none was called solved."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float | None:
        """Share of the solved frames that were found; None if there are none."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def accuracy(self) -> float | None:
        """Share of right decisions; None without frames."""
        right = self.true_positive + self.true_negative
        return _ratio(right, right + self.false_positive + self.false_negative)

    def to_dict(self) -> dict[str, float | int | None]:
        """Ratios and counts, ready for JSON."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "accuracy": self.accuracy,
            "true_positive": self.true_positive,
            "false_positive": self.false_positive,
            "false_negative": self.false_negative,
            "true_negative": self.true_negative,
        }


def precision_recall(label: Bool[np.ndarray, " N"], predicted: Bool[np.ndarray, " N"]) -> DetectionQuality:
    """Compare decisions with the truth.

    Args:
        label: True where the task is solved.
        predicted: True where the detector says so.
    """
    return DetectionQuality(
        true_positive=int((label & predicted).sum()),
        false_positive=int((~label & predicted).sum()),
        false_negative=int((label & ~predicted).sum()),
        true_negative=int((~label & ~predicted).sum()),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
