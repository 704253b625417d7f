"""How many real steps match imagination: one line and one plot for each cell refined in the simulator."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from wam.evaluation.hierarchical import Estimate, differences_by_task, estimates, finding
from wam.evaluation.success import MEAN_ROW, wilson_interval
from wam.report.labels import color_of, task_title, world_model_title
from wam.report.page import Page, Section, details, figure, note, paragraph, render
from wam.report.plots import new_figure, page_style, to_svg
from wam.report.tables import MISSING, plain_html, plain_markdown, signed_points

TITLE = "PPO in the simulator beside PPO in imagination"
SUBTITLE = "The same policy, algorithm, settings and scenes; episodes in the simulator cost real steps"
LINES: Final = {"cloned": ("cloning", ":"), "finetuned": ("PPO in imagination, 0 real steps", "--")}
POLICIES: Final = ("cloned", "finetuned", "online")
COLUMNS: Final = (
    *("world_model", "task", "starts", *POLICIES),
    *("difference", "low", "high", "finding", "real_steps", "steps_to_match"),
)


SELECTION: Final = "selection"
"""Starts from which curves were measured while PPO ran, where they were."""


@dataclass(frozen=True)
class Words:
    """What the page says about its numbers.

    Attributes:
        caption: Of the plot.
        counts: Below the table.
        reading: How to read it.
    """

    caption: str
    counts: str
    reading: str


_STEPS: Final = (
    "Real steps are control steps (1/30 s) of practice; evaluation is not counted. Practice begins at the "
    "random scenes that imagination begins at, and acts with exploration noise. "
)
_INTERVALS: Final = (
    " Practice points count the first episode of each table and iteration. Bands and brackets are 95 % "
    "intervals (Wilson's; of differences, a bootstrap over starts, never narrower than so few starts allow) "
    "of one training run: another seed gives another curve."
)
WITH_SELECTION: Final = Words(
    caption="Dotted: the cloned policy; dashed: PPO in imagination; both from selection starts.",
    counts="Counts are held-out starts. Real steps to match: practice after which the selection starts first "
    "went as well as after PPO in imagination; 0 if cloning did already, n/a if practice never came so far.",
    reading=_STEPS
    + "The curve from selection starts and both lines beside it are from the same starts, which PPO in "
    "imagination is evaluated on too; held-out starts are run once, with the last policy." + _INTERVALS,
)
PRACTICE_ALONE: Final = Words(
    caption="Practice alone: no policy was evaluated from selection starts while it learned "
    "(evaluation.checkpoints_on), so no curve is without exploration noise, and no line stands beside it.",
    counts="Counts are held-out starts. Real steps to match are n/a: without selection starts nothing tells "
    "after which practice the simulator went as well as imagination.",
    reading=_STEPS + "Held-out starts count the last policy of each run, whatever came before." + _INTERVALS,
)


def words_of(points: pd.DataFrame) -> Words:
    """What is true of these points: curves from selection starts are there, or practice alone."""
    return WITH_SELECTION if SELECTION in set(points["starts"]) else PRACTICE_ALONE


@dataclass(frozen=True)
class Online:
    """What the page shows.

    Attributes:
        facts: Facts in the band below the headline.
        points: Columns world_model, task, policy, starts, iteration, real_steps, rate, trials.
        lines: Of :func:`online_lines`.
        ancestry: Artefact, version and digest of what the page was made from.
    """

    facts: Mapping[str, str]
    points: pd.DataFrame
    lines: pd.DataFrame
    ancestry: pd.DataFrame


def online_lines(points: pd.DataFrame, rows: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """One line a cell, and one for all tasks of a world model of which several were refined.

    Args:
        points: As ``Online.points``.
        rows: Held-out episodes: columns world_model, task, policy, start, success.
        seed: Of the bootstrap.

    Returns:
        Columns ``COLUMNS``: solved held-out starts by policy, the difference of online and imagined PPO with
        its interval (shares) and what it shows, all real steps, and those after which the selection starts
        first went as well as after PPO in imagination (missing: never, not measured, or of several tasks).
        Of several tasks counts and steps are sums, and the difference is the mean.
    """
    lines = []
    for name, cells in points.groupby("world_model", sort=False):
        mine = rows[rows["world_model"] == name].assign(seed=0)
        by_policy = {policy: mine[mine["policy"] == policy] for policy in POLICIES}
        gains = estimates(differences_by_task(by_policy["online"], by_policy["finetuned"]), seed=seed)
        steps = cells.groupby("task", sort=False)["real_steps"].max()
        for task, practised in cells.groupby("task", sort=False):
            counts = [int(part.loc[part["task"] == task, "success"].sum()) for part in by_policy.values()]
            gain, match = gains[str(task)], _steps_to_match(practised)
            lines.append((name, task, gain.starts, *counts, *_told(gain), steps[task], match))
        if len(steps) > 1:
            counts = [int(part["success"].sum()) for part in by_policy.values()]
            total = len(by_policy["online"])
            lines.append((name, MEAN_ROW, total, *counts, *_told(gains[MEAN_ROW]), steps.sum(), float("nan")))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _told(gain: Estimate) -> tuple[float, float, float, str]:
    return gain.value, gain.low, gain.high, finding(gain)


def _steps_to_match(points: pd.DataFrame) -> float:
    chosen = points[points["starts"] == SELECTION]
    goal = chosen.loc[chosen["policy"] == "finetuned", "rate"]
    curve = chosen[chosen["policy"] == "online"]
    if goal.empty:
        return float("nan")
    return float(curve.loc[curve["rate"] >= goal.iloc[-1], "real_steps"].min())


def plot_online(points: pd.DataFrame) -> str:
    """Success by real steps, one panel a cell."""
    cells = list(points.groupby(["task", "world_model"], sort=False))
    columns = min(2, len(cells))
    with page_style():
        canvas = new_figure(max(6.8, 4.6 * columns), 2.9 * -(-len(cells) // columns))
        for place, ((task, name), mine) in enumerate(cells):
            axes = canvas.add_subplot(-(-len(cells) // columns), columns, place + 1)
            _panel(axes, mine, color_of(str(name)))
            axes.set(
                title=f"{task_title(str(task))}, {world_model_title(str(name))}",
                xlabel="real steps (thousands)",
                ylabel="success (%)",
                ylim=(-3, 103),
            )
            axes.xaxis.set_major_locator(MaxNLocator(6))
        shown = {  # each name once, whichever panels have it
            label: handle
            for axes in canvas.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        canvas.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=2)
        return to_svg(canvas)


def _panel(axes: Axes, points: pd.DataFrame, color: str) -> None:
    practice, chosen = (points[points["starts"] == starts] for starts in ("practice", SELECTION))
    axes.plot(
        practice["real_steps"] / 1000,
        100 * practice["rate"],
        ".-",
        color=color,
        alpha=0.4,
        lw=0.6,
        label="practice, with exploration noise",
    )
    curve = chosen[chosen["policy"] == "online"]
    if len(curve):
        bounds = [
            wilson_interval(rate * n, int(n)) for rate, n in zip(curve["rate"], curve["trials"], strict=True)
        ]
        low, high = zip(*bounds, strict=True)
        x = curve["real_steps"] / 1000
        axes.plot(x, 100 * curve["rate"], "o-", color=color, label="PPO in the simulator, selection starts")
        axes.fill_between(x, [100 * v for v in low], [100 * v for v in high], color=color, alpha=0.12, lw=0)
    for policy, (title, style) in LINES.items():
        rate = chosen.loc[chosen["policy"] == policy, "rate"]
        if len(rate):
            axes.axhline(100 * rate.iloc[-1], color="#374151", linestyle=style, linewidth=1, label=title)


def text_table(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines for a reader."""
    return pd.DataFrame(
        [
            {
                "world model": world_model_title(line["world_model"]),
                "task": task_title(line["task"]),
                "cloning": _count(line, "cloned"),
                "PPO in imagination": _count(line, "finetuned"),
                "PPO in the simulator": _count(line, "online"),
                "simulator minus imagination (points)": f"{signed_points(line['difference'])} "
                f"[{signed_points(line['low'])}, {signed_points(line['high'])}]",
                "shows": line["finding"],
                "real steps": f"{line['real_steps']:,.0f}",
                "real steps to match": MISSING
                if pd.isna(line["steps_to_match"])
                else f"{line['steps_to_match']:,.0f}",
            }
            for line in lines.to_dict("records")
        ]
    )


def _count(line: Mapping[Hashable, Any], policy: str) -> str:
    low, high = wilson_interval(line[policy], int(line["starts"]))
    return f"{line[policy]}/{line['starts']} [{100 * low:.0f} to {100 * high:.0f} %]"


def online_markdown(online: Online) -> str:
    """The table as Markdown, and how to read it."""
    body = plain_markdown(text_table(online.lines))
    about = "; ".join(f"{name}: {value}" for name, value in online.facts.items())
    words = words_of(online.points)
    return f"# {TITLE}\n\n{about}\n\n{body}\n\n{words.counts}\n\n{words.reading}\n"


def online_page(online: Online) -> str:
    """The page as HTML."""
    words = words_of(online.points)
    sections = [
        Section("Success by real steps", [figure(plot_online(online.points), words.caption)]),
        Section("Held-out starts", [plain_html(text_table(online.lines)), note(words.counts)]),
        Section("How to read it", [paragraph(words.reading)]),
        Section("What this rests on", [details("All artefacts", plain_html(online.ancestry))]),
    ]
    return render(Page(TITLE, SUBTITLE, online.facts, sections))
