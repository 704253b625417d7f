"""Rows of an ablation as tables: success of each, and differences from the rows they are compared with."""

from collections.abc import Mapping, Sequence

import pandas as pd

from wam.evaluation.hierarchical import (
    Estimate,
    differences_by_task,
    estimates,
    finding,
    of_these_trainings,
    outcomes,
)
from wam.evaluation.success import MEAN_ROW

RATE_COLUMNS = ["row", "policy", "task", "rate", "low", "high", "seeds", "starts"]
DIFFERENCE_COLUMNS = [
    "question",
    "row",
    "baseline",
    "policy",
    "task",
    "difference",
    "low",
    "high",
    "trained_low",
    "trained_high",
    "smallest_seen",
    "seeds",
    "starts",
    "finding",
]
COMPARED = ("cloned", "finetuned", "selected")
"""Policies that are compared between rows: cloned ones, PPO's last, and those that its selection chose."""
REFINED = ("finetuned", "selected")
"""Of them, those that are also compared with the cloned ones of the same row."""
REFINED_QUESTION = "refinement"
"""Name of the comparison of refined with cloned policies of one row."""


def rates(rows: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Success of every row by task and on average, with its interval over seeds, then starts.

    Args:
        rows: Evaluation rows with columns row, seed, policy, task, start, success.
        seed: Of the bootstrap.

    Returns:
        Columns ``RATE_COLUMNS``; bounds lie in [0, 1].
    """
    lines = []
    for (row, policy), group in rows.groupby(["row", "policy"], sort=False):
        values = {task: table.to_numpy() for task, table in outcomes(group).items()}
        for task, found in estimates(values, seed=seed, signed=False).items():
            low, high = max(0.0, found.low), min(1.0, found.high)
            lines.append((row, policy, task, found.value, low, high, found.seeds, found.starts))
    return pd.DataFrame(lines, columns=RATE_COLUMNS)


def compare(
    rows: pd.DataFrame, questions: Mapping[str, tuple[str, Sequence[str]]], *, seed: int
) -> pd.DataFrame:
    """Paired differences of the rows of each question from its baseline, by task and on average.

    Only seeds that both rows have are compared. Where a row's policies were refined, they are also compared
    with the cloned ones of the same row, under the question ``refinement``.

    Args:
        rows: Evaluation rows with columns row, seed, policy, task, start, success.
        questions: Name to baseline and rows; what was not run yet is left out.
        seed: Of the bootstrap.

    Returns:
        Columns ``DIFFERENCE_COLUMNS``; differences and bounds in [-1, 1]. Low and high are of the settings;
        trained_low and trained_high of these trainings, of which starts alone are drawn.
    """
    parts = dict(iter(rows.groupby(["row", "policy"], sort=False)))
    lines: list[tuple[object, ...]] = []
    for name, (baseline, others) in questions.items():
        for policy in COMPARED:
            for row in others:
                if {(row, policy), (baseline, policy)} <= parts.keys():
                    pair = parts[row, policy], parts[baseline, policy]
                    if set(pair[0]["seed"]) & set(pair[1]["seed"]):
                        lines += _lines((name, row, baseline, policy), pair, seed)
    for row in dict.fromkeys(rows["row"]):
        for policy in REFINED:
            if {(row, "cloned"), (row, policy)} <= parts.keys():
                pair = parts[row, policy], parts[row, "cloned"]
                lines += _lines((REFINED_QUESTION, row, row, policy), pair, seed)
    return pd.DataFrame(lines, columns=DIFFERENCE_COLUMNS)


def _lines(
    labels: tuple[str, str, str, str], pair: tuple[pd.DataFrame, pd.DataFrame], seed: int
) -> list[tuple[object, ...]]:
    values = differences_by_task(*pair)
    found = estimates(values, seed=seed)
    alone = {task: [array] for task, array in values.items()} | {MEAN_ROW: list(values.values())}
    return [
        (*labels, task, *_figures(one, of_these_trainings(alone[task], seed=seed)))
        for task, one in found.items()
    ]


def _figures(one: Estimate, trained: tuple[float, float]) -> tuple[object, ...]:
    low, high = max(-1.0, one.low), min(1.0, one.high)  # no difference of shares lies beyond
    return one.value, low, high, *trained, one.smallest_seen, one.seeds, one.starts, finding(one)
