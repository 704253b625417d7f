"""The comparisons that the report prints: who against whom, from the same starts."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from wam.evaluation.hierarchical import differences_by_task, estimates
from wam.evaluation.success import MEAN_ROW
from wam.report.labels import TITLES, PolicyName

BLIND = "proprio"
"""The control that says whether a policy's success needs eyes at all."""


def comparison_pairs(policies: set[str]) -> Iterator[tuple[str, str]]:
    """Pairs worth a difference, of those that were evaluated.

    Cloning from features against proprioception alone, WAM against DiWA stage by stage, and each refined
    policy against the cloned one it started from.

    Args:
        policies: Keys such as ``wam.cloned`` and ``proprio``.
    """
    conditions = sorted({PolicyName.parse(key).condition for key in policies if "." in key}, reverse=True)
    for condition in conditions:
        if {f"{condition}.cloned", BLIND} <= policies:
            yield f"{condition}.cloned", BLIND
    for stage in ("cloned", "finetuned", "selected"):
        if {f"wam.{stage}", f"diwa.{stage}"} <= policies:
            yield f"wam.{stage}", f"diwa.{stage}"
    for condition in conditions:
        for stage in ("finetuned", "selected"):
            if {f"{condition}.{stage}", f"{condition}.cloned"} <= policies:
                yield f"{condition}.{stage}", f"{condition}.cloned"


def differences(rows: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Paired differences in mean success with intervals over starts, as on the pages of rows and of PPO.

    Args:
        rows: Evaluation rows with columns policy, task, start, success.
        seed: Of the bootstrap.

    Returns:
        Columns policy, baseline, starts, difference, low, high; in [-1, 1].
    """
    lines = []
    for policy, baseline in comparison_pairs(set(rows["policy"])):
        pair = (rows[rows["policy"] == name].assign(seed=0) for name in (policy, baseline))
        found = estimates(differences_by_task(*pair), seed=seed)[MEAN_ROW]
        low, high = max(-1.0, found.low), min(1.0, found.high)
        lines.append((policy, baseline, found.starts, found.value, low, high))
    return pd.DataFrame(lines, columns=["policy", "baseline", "starts", "difference", "low", "high"])


def imagined_beside_real(curves: pd.DataFrame) -> pd.DataFrame:
    """Success in imagination and in the simulator, by world model and PPO iteration, mean over tasks.

    Args:
        curves: Long table with columns world_model, task, stage, step, name, value.

    Returns:
        Columns world_model, step, imagined, real (NaN where one was not measured), tasks.
    """
    ppo = curves[(curves["stage"] == "ppo") & curves["name"].isin(["imagined_success", "real_success"])]
    if ppo.empty:
        return pd.DataFrame(columns=["world_model", "step", "imagined", "real", "tasks"])
    wide = ppo.pivot_table(index=["world_model", "step"], columns="name", values="value", aggfunc="mean")
    table = wide.reindex(columns=["imagined_success", "real_success"]).reset_index()
    table = table.set_axis(["world_model", "step", "imagined", "real"], axis=1)
    table = table.sort_values(["world_model", "step"], key=_papers_order)
    counts = ppo.groupby("world_model")["task"].nunique()
    return table.assign(tasks=table["world_model"].map(counts))


def _papers_order(column: "pd.Series[Any]") -> "pd.Series[Any]":
    names = list(TITLES)
    return column.map(lambda value: names.index(value) if value in names else value)
