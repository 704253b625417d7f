"""Plots of the diagnostics: probes along imagination, imagined beside real success."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes

from wam.diagnostics import drift
from wam.diagnostics.calibration import IMAGINED, REAL, calibration_table, solved_by_step
from wam.diagnostics.probes import FEATURES
from wam.report.labels import color_of, task_title, world_model_title
from wam.report.plots import new_figure, page_style, to_svg
from wam.tasks.table import TASK_NAMES

DASHES: Final = {drift.SEEN: "-", drift.FILTERED: "--", drift.ONE_FRAME: ":"}
LINES: Final = {
    drift.SEEN: "every frame seen",
    drift.FILTERED: "imagined after the whole past",
    drift.ONE_FRAME: "imagined after one frame",
}
STEP_GRID: Final = 4
"""Control steps between points of the curves: a decision's actions."""


def plot_drift(drifts: Mapping[str, pd.DataFrame], probes: pd.DataFrame) -> str:
    """Probe scores along open-loop imagination, one panel a quantity.

    Args:
        drifts: Table of ``diagnostics.drift.measure_drift`` by world model.
        probes: Table of ``diagnostics.probes.score_probes`` of any world model, for pass marks and guesses.
    """
    marks = probes[probes["reads"] == FEATURES].set_index("quantity")
    columns = 5
    with page_style():
        rows = -(-len(marks) // columns)
        figure = new_figure(2.4 * columns, 1.75 * rows + 0.5)
        for place, (name, mark) in enumerate(marks.iterrows()):
            axes = figure.add_subplot(rows, columns, place + 1)
            for world_model, table in drifts.items():
                _drift_lines(axes, table[table["quantity"] == name], world_model)
            axes.axhline(mark["constant"], color="#9aa3af", linewidth=0.8)
            if pd.notna(mark["tolerance"]):
                axes.axhline(mark["tolerance"], color="#15803d", linewidth=0.8)
            axes.set_title(f"{mark['title']} ({'accuracy' if mark['is_light'] else 'cm'})", fontsize=8.5)
            if mark["is_light"]:
                axes.set_ylim(0.3, 1.03)
            else:
                axes.set_ylim(bottom=0.0)
        if len(marks):
            figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return to_svg(figure)


def _drift_lines(axes: Axes, table: pd.DataFrame, world_model: str) -> None:
    for start, dashes in DASHES.items():
        line = table[table["start"] == start]
        axes.plot(
            line["step"],
            line["score"],
            dashes,
            color=color_of(world_model),
            linewidth=1.2,
            label=f"{world_model_title(world_model)}: {LINES[start]}",
        )


def plot_calibration(episodes: Mapping[str, pd.DataFrame], max_gap: float) -> str:
    """Imagined over real success, one mark a task; a mark on the diagonal is believed rightly.

    Args:
        episodes: Rows of ``diagnostics.calibration.episode_rows`` by world model.
        max_gap: Half width of the band, as a share.
    """
    with page_style():
        figure = new_figure(4.6, 4.0)
        axes = figure.add_subplot()
        ends, width = [0.0, 100.0], 100 * max_gap
        axes.plot(ends, ends, color="#9aa3af", linewidth=0.8)
        axes.fill_between(
            ends, [-width, 100 - width], [width, 100 + width], color="#15803d", alpha=0.08, linewidth=0
        )
        for world_model, rows in episodes.items():
            table = calibration_table(rows)
            axes.plot(
                100 * table["real"],
                100 * table["imagined"],
                "o",
                color=color_of(world_model),
                alpha=0.8,
                label=f"{world_model_title(world_model)}, by the judge",
            )
            axes.plot(
                100 * table["real"],
                100 * table["probed"],
                "x",
                color=color_of(world_model),
                alpha=0.8,
                label=f"{world_model_title(world_model)}, by the probes",
            )
        axes.set(
            xlim=(-4, 104),
            ylim=(-4, 104),
            xlabel="real success (%)",
            ylabel="imagined success (%)",
            title="One mark a task",
        )
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return to_svg(figure)


def plot_solved_by_step(episodes: Mapping[str, pd.DataFrame]) -> str:
    """Share of episodes solved within so many control steps, imagined and real, one panel a task.

    Args:
        episodes: Rows of ``diagnostics.calibration.episode_rows`` by world model.
    """
    curves: dict[str, Any] = {name: solved_by_step(rows, STEP_GRID) for name, rows in episodes.items()}
    present = {task for table in curves.values() for task in table["task"]}
    tasks = [task for task in TASK_NAMES if task in present]
    with page_style():
        figure = new_figure(10, 2.0 * -(-len(tasks) // 4) + 0.5)
        for place, task in enumerate(tasks):
            axes = figure.add_subplot(-(-len(tasks) // 4), 4, place + 1)
            for world_model, table in curves.items():
                for world, dashes in ((REAL, "-"), (IMAGINED, "--")):
                    line = table[(table["task"] == task) & (table["world"] == world)]
                    axes.plot(
                        line["step"],
                        100 * line["rate"],
                        dashes,
                        color=color_of(world_model),
                        label=f"{world_model_title(world_model)}, {world}",
                    )
            axes.set_title(task_title(task), fontsize=9)
            axes.set(ylim=(-3, 103), xlabel="control steps", ylabel="solved (%)")
            axes.label_outer()
        if tasks:
            figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return to_svg(figure)
