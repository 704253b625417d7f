"""Results of all cells to tables and one page."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wam.datasets import NamedFiles
from wam.pipelines.ablation.table import AblationTable, cells_of_table, maker_of
from wam.pipelines.reporting.nodes import ancestry, facts
from wam.report.ablation_page import QUALITY, Ablation, Asked, ablation_markdown, ablation_page
from wam.report.ablation_plots import plot_rates
from wam.report.ablation_tables import compare, rates

logger = logging.getLogger(__name__)


def compare_rows(
    table: AblationTable, lineage: Mapping[str, Any], *tables: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """All episodes, success by row and task, differences by question, quality of world models, hours."""
    cells = cells_of_table(table) if tables else []
    results, metrics, curves = (tables[place : place + len(cells)] for place in _places(len(cells)))
    parts = [
        rows.assign(row=cell.row, seed=table.seeds[cell.seed])
        for cell, rows in zip(cells, results, strict=True)
        if rows is not None
    ]
    if not parts:
        raise ValueError("no row of the ablation has results yet; run `kedro run --pipelines ablation` whole")
    rows = pd.concat(parts, ignore_index=True)
    questions = {name: (question.baseline, question.rows) for name, question in table.questions.items()}
    quality = {  # by who made the world model: a row that takes another's measures it too
        maker_of(table, cell).name: _quality(figures, curve).assign(
            row=maker_of(table, cell).row, seed=table.seeds[cell.seed]
        )
        for cell, figures, curve in zip(cells, metrics, curves, strict=True)
        if figures is not None and curve is not None
    }
    hours = hours_of_rows(lineage, {cell.name: cell.row for cell in cells})
    for row, spent in zip(hours["row"], hours["hours"], strict=True):
        logger.info("%7.2f h  %s", spent, row)
    seed = table.bootstrap_seed
    return (
        rows,
        rates(rows, seed=seed),
        compare(rows, questions, seed=seed),
        pd.concat(quality.values(), ignore_index=True) if quality else _NO_QUALITY,
        hours,
    )


_NO_QUALITY = pd.DataFrame(columns=["name", "value", "row", "seed"])


def _places(cells: int) -> Sequence[int]:
    return range(0, 3 * cells, cells) if cells else (0, 0, 0)


def _quality(metrics: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Open-loop figures, and the last value of each curve that is shown."""
    open_loop = metrics[(metrics["stage"] == "open_loop") & metrics["name"].isin(QUALITY)]
    shown = curves[curves["name"].isin(QUALITY)].sort_values("step").groupby("name", sort=False).tail(1)
    return pd.concat([open_loop, shown], ignore_index=True)[["name", "value"]]


def hours_of_rows(lineage: Mapping[str, Any], rows: Mapping[str, str]) -> pd.DataFrame:
    """Hours that the nodes of each row took, half-done work of killed runs included.

    Args:
        lineage: Whose ancestors carry ``node`` and ``seconds``.
        rows: Row by cell.

    Returns:
        Columns row, cells, hours: a sum over nodes, of which several may have run side by side.
    """
    seconds: dict[str, dict[str, float]] = {}
    for name, one in lineage.get("ancestors", {}).items():
        cell = name.split(".")[0]
        if cell in rows and "seconds" in one:
            of_cell = seconds.setdefault(cell, {})
            of_cell[one["node"]] = max(of_cell.get(one["node"], 0.0), float(one["seconds"]))
    lines = [
        (row, len(spent), sum(spent) / 3600)
        for row in dict.fromkeys(rows.values())
        if (spent := [sum(s.values()) for cell, s in seconds.items() if rows[cell] == row])
    ]
    return pd.DataFrame(lines, columns=["row", "cells", "hours"])


def draw_rates(table: AblationTable, success: pd.DataFrame) -> dict[str, bytes]:
    """Success of the rows of each question as SVG, by its name; of those of which a row has results."""
    there = set(success["row"])
    asked = {name: (question.baseline, *question.rows) for name, question in table.questions.items()}
    return {
        f"{name}.svg": plot_rates(success, rows).encode() for name, rows in asked.items() if there & set(rows)
    }


def render_ablation(
    table: AblationTable,
    lineage: Mapping[str, Any],
    rows: pd.DataFrame,
    success: pd.DataFrame,
    differences: pd.DataFrame,
    quality: pd.DataFrame,
    hours: pd.DataFrame,
    figures: NamedFiles,
) -> tuple[str, str]:
    """The page, with everything inside, and its tables as Markdown."""
    known = facts(rows, 0, lineage)
    seeds = sorted(set(rows["seed"]))
    ablation = Ablation(
        title=table.title,
        facts={
            "rows": f"{rows['row'].nunique()} of {len(table.rows)}",
            "cells (row and seed)": str(len(rows[["row", "seed"]].drop_duplicates())),
            **known,
            "seed": ", ".join(str(seed) for seed in seeds),
            "hours": f"{hours['hours'].sum():.1f} (sum over nodes)",
        },
        settings={name: row.settings() for name, row in table.rows.items()},
        questions=[
            Asked(name, question.asks, question.baseline, question.rows)
            for name, question in table.questions.items()
        ],
        rates=success,
        differences=differences,
        quality=quality,
        hours=dict(zip(hours["row"], hours["hours"], strict=True)),
        figures={name.removesuffix(".svg"): svg.decode() for name, svg in figures.items()},
        ancestry=ancestry(lineage),
    )
    return ablation_page(ablation), ablation_markdown(ablation)
