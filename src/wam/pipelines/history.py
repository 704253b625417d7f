"""Training histories and final figures as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

Metrics = dict[str, Any]
"""Final figures of one cell and stage: ``stage`` and ``task`` as text, all else numbers."""


def curves(history: Sequence[Mapping[str, float]], *, step: str = "step", **labels: str) -> pd.DataFrame:
    """A history as a long table: step, name, value, and a column for every label given.

    Args:
        history: One mapping a point; quantities may be absent at some points.
        step: Key of the position.
        labels: Constant columns.
    """
    table = pd.DataFrame(list(history)).rename(columns={step: "step"})
    long = table.melt(id_vars="step", var_name="name", value_name="value")
    return long.dropna().assign(**labels)


def metrics_table(metrics: Iterable[Metrics]) -> pd.DataFrame:
    """Final figures as a long table: stage, task, name, value; missing ones (None) are left out."""
    lines = [
        (cell["stage"], cell["task"], name, float(value))
        for cell in metrics
        for name, value in cell.items()
        if name not in ("stage", "task") and value is not None
    ]
    return pd.DataFrame(lines, columns=["stage", "task", "name", "value"])
