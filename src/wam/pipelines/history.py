"""Training histories as tables."""

from collections.abc import Mapping, Sequence

import pandas as pd


def curves(history: Sequence[Mapping[str, float]], *, step: str = "step", **labels: str) -> pd.DataFrame:
    """A history as a long table: step, name, value, and a column for every label given.

    Args:
        history: One mapping a point; quantities may be absent at some points.
        step: Key of the position.
        labels: Constant columns.
    """
    table = pd.DataFrame(list(history)).rename(columns={step: "step"})
    return table.melt(id_vars="step", var_name="name", value_name="value").dropna().assign(**labels)
