"""An ablation as plots: success of its rows, and differences between them."""

from collections.abc import Sequence
from itertools import cycle
from typing import Final

import pandas as pd
from matplotlib.ticker import MaxNLocator

from wam.report.labels import COLORS
from wam.report.plots import MARKERS, new_figure, page_style, plot_success, to_svg

OTHERS: Final = ("#0f766e", "#a21caf", "#65a30d", "#be123c", "#0e7490", "#854d0e")
"""Colours of rows that are no world model of the papers, in turn."""


def plot_rates(rates: pd.DataFrame, rows: Sequence[str]) -> str:
    """Success of a question's rows by task and on the mean, with intervals over seeds, then starts.

    Args:
        rates: Of ``ablation_tables.rates``.
        rows: Of the question, in order.
    """
    shown = rates[rates["row"].isin(rows)]
    others = dict(zip([row for row in rows if row not in COLORS], cycle(OTHERS), strict=False))
    return plot_success(shown.assign(policy=shown["row"] + "." + shown["policy"]), others)


def plot_differences(means: pd.DataFrame) -> str:
    """Differences in mean success with their intervals, one line a row and policy.

    Args:
        means: Rows of ``ablation_tables.compare`` for the mean over tasks.
    """
    with page_style():
        figure = new_figure(8, 0.9 + 0.34 * len(means))
        axes = figure.add_subplot()
        for place, line in enumerate(means.to_dict("records")):
            value, low, high = (100 * float(line[name]) for name in ("difference", "low", "high"))
            color = "#2456c7" if low > 0 or high < 0 else "#6b7280"
            axes.errorbar(
                value,
                -place,
                xerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
                fmt=MARKERS.get(str(line["policy"]), "D"),
                color=color,
                markerfacecolor=color if line["seeds"] > 1 else "white",
                capsize=3,
            )
        names = [f"{line['row']}, {line['policy']}" for line in means.to_dict("records")]
        axes.set_yticks([-place for place in range(len(names))], names)
        axes.axvline(0, color="#374151", linewidth=1)
        axes.set(xlabel="difference in success (points)", ylim=(-len(names) + 0.4, 0.6))
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        return to_svg(figure)
