"""Success rates with intervals: Wilson for a rate, combined for a mean. Differences: ``hierarchical``.

Evaluation rows are a table with one row per episode: ``task``, ``policy``, ``start`` (index of the start
within its task), ``success`` (bool) and ``steps`` (control steps taken).
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

from wam.evaluation.rollout import RolloutResult

CONFIDENCE = 0.95
DRAWS = 10_000
"""Bootstrap draws; the error of a bound is then well below one percentage point."""
MEAN_ROW = "mean"
"""Name, in the column ``task``, of the row that averages over tasks."""


def wilson_interval(successes: float, trials: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927); unlike k/n +- 1.96 s it is sane at 0 and n successes.

    Args:
        successes: k, from 0 to n; not whole where a start counts once for the mean of its repeats.
        trials: n, at least 1.
        confidence: Coverage, in (0, 1).

    Returns:
        Lower and upper bound, in [0, 1].

    Raises:
        ValueError: If k is not within 0 and n, or n is 0.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    scale = 1 + z**2 / trials
    centre = (rate + z**2 / (2 * trials)) / scale
    half = z / scale * float(np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2)))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def mean_rate_interval(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Interval of the unweighted mean of independent rates, put together from each rate's own.

    The method of variance estimates recovery (Zou and Donner 2008) on Wilson intervals. Unlike a bootstrap it
    has a width where every episode ended alike: 232 successes of 232 do not prove a rate of 100 %.

    Args:
        counts: Successes and trials of each rate.

    Returns:
        Mean, lower and upper bound, in [0, 1].

    Raises:
        ValueError: If there is no rate, or one is impossible.
    """
    if not counts:
        raise ValueError("need at least one rate")
    low, high = np.array([wilson_interval(*count) for count in counts]).T
    rates = np.array([successes / trials for successes, trials in counts])
    mean = float(rates.mean())
    below, above = (float(np.sqrt(((rates - bound) ** 2).sum())) / len(rates) for bound in (low, high))
    return mean, max(0.0, mean - below), min(1.0, mean + above)


def evaluation_rows(result: RolloutResult, *, task: str, policy: str) -> pd.DataFrame:
    """Evaluation rows of one rollout: task, policy, start, success, steps."""
    return pd.DataFrame(
        {
            "task": task,
            "policy": policy,
            "start": np.arange(len(result.success)),
            "success": result.success,
            "steps": result.steps,
        }
    )


def success_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Success per policy and task, and the mean over tasks of each policy.

    Args:
        rows: Evaluation rows.

    Returns:
        Columns policy, task, successes, trials, rate, low, high. Wilson intervals per task; rows whose task
        is ``mean`` hold the unweighted mean over tasks with the interval of :func:`mean_rate_interval`.
    """
    lines = []
    for policy, of_policy in rows.groupby("policy", sort=False):
        counts = []
        for name, group in of_policy.groupby("task", sort=False):
            successes, trials = int(group["success"].sum()), len(group)
            lines.append(
                (policy, name, successes, trials, successes / trials, *wilson_interval(successes, trials))
            )
            counts.append((successes, trials))
        total = int(of_policy["success"].sum())
        lines.append((policy, MEAN_ROW, total, len(of_policy), *mean_rate_interval(counts)))
    return pd.DataFrame(lines, columns=["policy", "task", "successes", "trials", "rate", "low", "high"])
