"""One figure of the success table: k of N, its rate and interval."""

from dataclasses import dataclass

import pandas as pd

from wam.evaluation.success import MEAN_ROW
from wam.tasks.table import TASK_NAMES


@dataclass(frozen=True)
class Cell:
    """Success of one policy at one task, or on average.

    Attributes:
        successes: k.
        trials: N.
        rate: Share in [0, 1]; for a mean, the unweighted mean over tasks.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
    """

    successes: int
    trials: int
    rate: float
    low: float
    high: float

    @property
    def interval(self) -> str:
        """Bounds in whole percent."""
        return f"{100 * self.low:.0f} to {100 * self.high:.0f} %"


Cells = dict[tuple[str, str], Cell]
"""By policy and task."""


def cells_of(success: pd.DataFrame) -> Cells:
    """Every figure of a table of ``evaluation.success.success_table``."""
    columns = ("policy", "task", "successes", "trials", "rate", "low", "high")
    rows = zip(*(success[name].tolist() for name in columns), strict=True)
    return {(policy, task): Cell(int(k), int(n), *bounds) for policy, task, k, n, *bounds in rows}


def tasks_of(success: pd.DataFrame) -> list[str]:
    """Tasks in the table's own order, the mean last."""
    present = set(success["task"])
    return [task for task in (*TASK_NAMES, MEAN_ROW) if task in present]
