"""Plots as SVG text: success by task, training curves, imagination against reality, open-loop quality."""

import contextlib
import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wam.report.cells import tasks_of
from wam.report.labels import PolicyName, color_of, ordered_policies, task_title, world_model_title

STYLE: Final[dict[str, Any]] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3af",
    "axes.labelcolor": "#374151",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "xtick.color": "#6b7280",
    "ytick.color": "#6b7280",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "wam",
}
_DRAWING: Final = threading.RLock()
MARKERS: Final = {"cloned": "o", "finetuned": "^", "selected": "s"}


def to_svg(figure: Figure) -> str:
    """SVG text of a figure, the same for the same figure; text stays text."""
    file = io.StringIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})  # type: ignore[no-untyped-call]
    text = file.getvalue()
    return text[text.index("<svg") :]


@contextlib.contextmanager
def page_style() -> Iterator[None]:
    """The report's style, for one figure at a time: Matplotlib keeps its settings for the whole process."""
    with _DRAWING, mpl.rc_context(STYLE):  # type: ignore[arg-type]
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, width and height in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def plot_success(success: pd.DataFrame, colors: Mapping[str, str] | None = None) -> str:
    """Success rate with its interval, one group a task, one mark a policy.

    Args:
        success: Table of ``evaluation.success.success_table``.
        colors: By condition, where not the usual ones.
    """
    colors = colors or {}
    tasks = tasks_of(success)
    policies = ordered_policies(list(success["policy"].unique()))
    with page_style():
        figure = new_figure(10, 3.6)
        axes = figure.add_subplot()
        spread = 0.78 / max(1, len(policies))
        for number, key in enumerate(policies):
            rows = success[success["policy"] == key].set_index("task").reindex(tasks)
            name = PolicyName.parse(key)
            color = colors.get(name.condition, color_of(name.condition))
            x = [index + (number - (len(policies) - 1) / 2) * spread for index in range(len(tasks))]
            errors = [100 * (rows["rate"] - rows["low"]), 100 * (rows["high"] - rows["rate"])]
            axes.errorbar(
                x,
                100 * rows["rate"],
                yerr=[error.clip(lower=0) for error in errors],
                fmt=MARKERS.get(name.stage, "D"),
                color=color,
                markersize=4,
                elinewidth=1,
                markerfacecolor="white" if name.stage == "finetuned" else color,
                label=name.title,
            )
        axes.set_xticks(range(len(tasks)), [task_title(task).replace(" ", "\n", 1) for task in tasks])
        axes.set(ylim=(-3, 103), ylabel="success (%)", xlim=(-0.6, len(tasks) - 0.4))
        axes.grid(visible=False, axis="x")
        for edge in range(1, len(tasks)):
            axes.axvline(edge - 0.5, color="#e5e7eb", linewidth=0.8)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=6)
        return to_svg(figure)


def plot_curves(curves: pd.DataFrame, names: Sequence[str], titles: Sequence[str]) -> str:
    """Training curves, one panel a quantity, one line a world model.

    Args:
        curves: Long table with columns world_model, step, name, value; several rows of one step (tasks) are
            averaged.
        names: Quantities; those that nothing recorded are left out.
        titles: Titles of their panels.
    """
    shown = [(name, title) for name, title in zip(names, titles, strict=True) if name in set(curves["name"])]
    with page_style():
        figure = new_figure(3.3 * max(1, len(shown)), 2.6)
        for index, (name, title) in enumerate(shown):
            axes = figure.add_subplot(1, len(shown), index + 1)
            for world_model, rows in curves[curves["name"] == name].groupby("world_model", sort=False):
                line = rows.groupby("step")["value"].mean()
                axes.plot(
                    line.index,
                    line,
                    "o-" if len(line) == 1 else "-",  # a line of one point is invisible
                    color=color_of(str(world_model)),
                    label=world_model_title(str(world_model)),
                )
            axes.set(title=title, xlabel="step")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            _fit_log(axes, curves.loc[curves["name"] == name, "value"])
        if shown:
            figure.axes[0].legend()
        return to_svg(figure)


def _fit_log(axes: Axes, values: pd.Series) -> None:
    if len(values) and values.min() > 0 and values.max() / values.min() > 30:
        axes.set_yscale("log")


def plot_imagined_beside_real(table: pd.DataFrame) -> str:
    """Success while fine-tuning, imagined and real where it was measured, one panel a world model.

    Args:
        table: Of ``comparisons.imagined_beside_real``.
    """
    world_models = list(dict.fromkeys(table["world_model"]))
    with page_style():
        figure = new_figure(4.2 * max(1, len(world_models)), 2.7)
        for index, name in enumerate(world_models):
            axes = figure.add_subplot(1, len(world_models), index + 1)
            rows = table[table["world_model"] == name]
            for kind, style in (("imagined", "--"), ("real", "o-")):
                known = rows.dropna(subset=kind)
                if len(known):  # without points a line would stand in the legend alone
                    axes.plot(known["step"], 100 * known[kind], style, color=color_of(name), label=kind)
            axes.set(
                title=world_model_title(name), xlabel="PPO iteration", ylabel="success (%)", ylim=(-3, 103)
            )
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.legend()
        return to_svg(figure)


def plot_open_loop(table: pd.DataFrame) -> str:
    """PSNR and SSIM by predicted step, mean and one deviation over sequences.

    Args:
        table: Columns world_model, step, psnr, psnr_std, ssim, ssim_std.
    """
    with page_style():
        figure = new_figure(7.2, 2.7)
        for index, (name, title) in enumerate((("psnr", "PSNR (dB)"), ("ssim", "SSIM"))):
            axes = figure.add_subplot(1, 2, index + 1)
            for world_model, rows in table.groupby("world_model", sort=False):
                color = color_of(str(world_model))
                mean, deviation = rows[name], rows[f"{name}_std"]
                axes.plot(rows["step"], mean, color=color, label=world_model_title(str(world_model)))
                axes.fill_between(
                    rows["step"], mean - deviation, mean + deviation, color=color, alpha=0.12, linewidth=0
                )
            axes.set(title=title, xlabel="frames after the first")
        figure.axes[0].legend()
        return to_svg(figure)
