"""The page of an ablation: a section for each question, what its differences show and could have shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wam.evaluation.success import MEAN_ROW
from wam.report.ablation_plots import plot_differences
from wam.report.ablation_tables import REFINED_QUESTION
from wam.report.cells import tasks_of
from wam.report.labels import STAGES, task_title
from wam.report.page import Page, Section, cards, details, figure, heading, note, paragraph, render
from wam.report.tables import MISSING, percent, plain_html, plain_markdown, signed_points

SUBTITLE = "Rows of settings that differ in little else, trained with several seeds, from the same starts"
READING = (
    "Intervals are 95 % and come from a bootstrap over world-model seeds, then starts, widened for the few "
    "seeds there are. A row shows a difference only if the interval of its paired difference excludes 0; "
    "otherwise no difference is shown, which is not the same as none. The smallest visible effect is the "
    "true difference that such an interval would have shown in four of five cases. Rows with one seed "
    "speak of that one training alone. All rows share one data set, so its own variation is in no interval."
)
TRAINED = "of these trainings"
TRAINED_NOTE = (
    "Intervals of these trainings draw starts alone: did PPO improve these policies? The others draw seeds "
    "as well: would it improve those of another training?"
)
BY_TASK = (
    "Differences by task, not corrected for looking at eight: among eight tasks without any difference, one "
    "interval or more excludes 0 in a third of all cases."
)
QUALITY = {
    "psnr_mean": "PSNR (dB)",
    "ssim_mean": "SSIM",
    "validation_image_loss": "image loss",
    "validation_kl_loss": "KL (nats)",
    "validation_action_error": "action error",
}
"""Figures of world models that the page shows, where they were recorded: name, title."""


@dataclass(frozen=True)
class Asked:
    """A question of the page.

    Attributes:
        name: Its name in the tables.
        asks: In words.
        baseline: Row that is subtracted.
        rows: The others.
    """

    name: str
    asks: str
    baseline: str
    rows: Sequence[str]


@dataclass(frozen=True)
class Ablation:
    """Everything that the page shows.

    Attributes:
        title: Headline.
        facts: Facts in the band below it.
        settings: By row, the settings in which it differs.
        questions: In order.
        rates: Of ``ablation_tables.rates``.
        differences: Of ``ablation_tables.compare``.
        quality: Figures of world models: columns row, seed, name, value.
        hours: By row.
        figures: Success of a question's rows as SVG, by its name; where any has results.
        ancestry: Artefact, version and digest of what the page was made from.
    """

    title: str
    facts: Mapping[str, str]
    settings: Mapping[str, Mapping[str, Any]]
    questions: Sequence[Asked]
    rates: pd.DataFrame
    differences: pd.DataFrame
    quality: pd.DataFrame
    hours: Mapping[str, float]
    figures: Mapping[str, str]
    ancestry: pd.DataFrame


def ablation_page(ablation: Ablation) -> str:
    """The page as HTML."""
    sections = [_question(ablation, asked) for asked in ablation.questions]
    sections += _refinement(ablation)
    sections += [Section("How to read it", [paragraph(READING)]), _rows(ablation)]
    sections += [_world_models(ablation), _provenance(ablation)]
    return render(Page(ablation.title, SUBTITLE, ablation.facts, sections))


def ablation_markdown(ablation: Ablation) -> str:
    """One table a question as Markdown, and how to read them."""
    parts = [f"# {ablation.title}\n", "; ".join(f"{k}: {v}" for k, v in ablation.facts.items()) + "\n"]
    for asked in ablation.questions:
        parts += [f"## {asked.asks}\n", _markdown(question_table(ablation, asked))]
    if REFINED_QUESTION in set(ablation.differences["question"]):
        parts += ["## Does PPO improve on cloning?\n", _markdown(refinement_table(ablation))]
        parts += [_markdown(refinement_by_task(ablation)), TRAINED_NOTE + "\n"]
    return "\n".join([*parts, READING, ""])


def question_table(ablation: Ablation, asked: Asked) -> pd.DataFrame:
    """One line a row and policy, the baseline first; text."""
    means = _by_row(ablation.rates[ablation.rates["task"] == MEAN_ROW])
    found = _by_row(_means(ablation.differences, asked.name))
    lines = []
    if not any((row, "cloned") in means for row in asked.rows):
        return pd.DataFrame()
    for policy, stage in STAGES.items():
        for row in (asked.baseline, *asked.rows):
            if (row, policy) in means:
                lines.append(
                    {
                        "row": row,
                        "settings": settings_text(ablation.settings[row]),
                        "policy": stage,
                        **_rate_cells(means[row, policy]),
                        **_difference_cells(found, (row, policy), is_baseline=row == asked.baseline),
                        "hours": _hours(ablation.hours, row),
                    }
                )
    return pd.DataFrame(lines)


def refinement_table(ablation: Ablation) -> pd.DataFrame:
    """Refined policies against cloned ones, one line a row and policy."""
    found = _by_row(_means(ablation.differences, REFINED_QUESTION))
    lines = []
    for key in found:
        cells = _difference_cells(found, key, is_baseline=False)
        lines.append({"row": key[0], "policy": STAGES[key[1]], **cells, TRAINED: _trained_text(found[key])})
    return pd.DataFrame(lines)


def refinement_by_task(ablation: Ablation) -> pd.DataFrame:
    """Refined policies against cloned ones, one line a row, policy and task."""
    mine = ablation.differences[ablation.differences["question"] == REFINED_QUESTION]
    lines = [
        {
            "row": line["row"],
            "policy": STAGES[line["policy"]],
            "task": task_title(line["task"]),
            "difference [95 % interval]": _interval_text(line["difference"], line["low"], line["high"]),
            TRAINED: _trained_text(line),
        }
        for line in _lines(mine[mine["task"] != MEAN_ROW])
    ]
    return pd.DataFrame(lines)


def _trained_text(line: Mapping[str, Any]) -> str:
    return f"{signed_points(line['trained_low'])} to {signed_points(line['trained_high'])}"


def settings_text(settings: Mapping[str, Any]) -> str:
    """``of wam; action_coef 10``: where a row starts, and what it changes."""
    return "; ".join(f"{name.removeprefix('world_model.')} {value}" for name, value in settings.items())


def _means(differences: pd.DataFrame, question: str) -> pd.DataFrame:
    return differences[(differences["question"] == question) & (differences["task"] == MEAN_ROW)]


def _by_row(table: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """Lines of a table by row and policy."""
    return {(line["row"], line["policy"]): line for line in _lines(table)}


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in line.items()} for line in table.to_dict("records")]


def _rate_cells(line: Mapping[str, Any]) -> dict[str, str]:
    return {
        "success": percent(line["rate"]),
        "its interval": f"{100 * line['low']:.0f} to {100 * line['high']:.0f} %",
        "seeds": str(line["seeds"]),
        "starts": str(line["starts"]),
    }


def _difference_cells(
    found: Mapping[tuple[str, str], Mapping[str, Any]], key: tuple[str, str], *, is_baseline: bool
) -> dict[str, str]:
    names = ("difference (points)", "95 % interval", "common seeds", "smallest visible", "shows")
    if key not in found:
        return dict.fromkeys(names, "") | {names[0]: "baseline" if is_baseline else MISSING}
    line = found[key]
    interval = f"{signed_points(line['low'])} to {signed_points(line['high'])}"
    smallest = "none" if line["smallest_seen"] > 1 else f"{100 * line['smallest_seen']:.1f}"
    values = (signed_points(line["difference"]), interval, str(line["seeds"]), smallest, line["finding"])
    return dict(zip(names, values, strict=True))


def _hours(hours: Mapping[str, float], row: str) -> str:
    return f"{hours[row]:.2f}" if row in hours else MISSING


def _question(ablation: Ablation, asked: Asked) -> Section:
    table = question_table(ablation, asked)
    mine = ablation.differences[ablation.differences["question"] == asked.name]
    waiting = [row for row in (asked.baseline, *asked.rows) if row not in set(ablation.rates["row"])]
    parts = [cards(_headline(_means(ablation.differences, asked.name), asked.baseline))] if len(mine) else []
    parts += [plain_html(table)] if len(table) else []
    parts += [note(f"Not run yet: {', '.join(waiting)}.")] if waiting else []
    if asked.name in ablation.figures:
        parts += [figure(ablation.figures[asked.name], "Success from the same starts, with its interval.")]
    if len(mine):
        caption = f"Success minus that of {asked.baseline}, in points; hollow marks rest on one seed."
        parts += [
            figure(plot_differences(_means(ablation.differences, asked.name)), caption),
            details("By task", note(BY_TASK) + plain_html(task_table(mine))),
        ]
    return Section(asked.asks, parts)


def _headline(means: pd.DataFrame, baseline: str) -> dict[str, tuple[str, str]]:
    return {
        f"{row} minus {baseline}, {STAGES[policy]}": (
            line["finding"],
            f"{signed_points(line['difference'])} points, {signed_points(line['low'])} to "
            f"{signed_points(line['high'])}, {line['seeds']} seeds",
        )
        for (row, policy), line in _by_row(means).items()
    }


def task_table(differences: pd.DataFrame) -> pd.DataFrame:
    """Differences with their intervals in points, one line a row and policy, one column a task."""
    lines = []
    for (row, policy), group in differences.groupby(["row", "policy"], sort=False):
        names = ("difference", "low", "high")
        found = {task: values for task, *values in group[["task", *names]].itertuples(index=False)}
        cells = {task_title(task): _interval_text(*found[task]) for task in tasks_of(group)}
        lines.append({"row": row, "policy": STAGES[str(policy)], **cells})
    return pd.DataFrame(lines)


def _interval_text(difference: float, low: float, high: float) -> str:
    return f"{signed_points(difference)} [{signed_points(low)}, {signed_points(high)}]"


def _refinement(ablation: Ablation) -> list[Section]:
    if REFINED_QUESTION not in set(ablation.differences["question"]):
        return []
    by_task = details("By task", plain_html(refinement_by_task(ablation)))
    parts = [plain_html(refinement_table(ablation)), by_task, note(TRAINED_NOTE), note(BY_TASK)]
    return [Section("Does PPO improve on cloning?", parts)]


def _rows(ablation: Ablation) -> Section:
    waiting = [row for row in ablation.settings if row not in set(ablation.rates["row"])]
    lines = [
        {"row": row, "settings": settings_text(settings), "hours": _hours(ablation.hours, row)}
        for row, settings in ablation.settings.items()
    ]
    parts = [
        plain_html(pd.DataFrame(lines), numeric=["hours"]),
        note("Hours are sums over the nodes of all cells of a row; several may have run side by side."),
    ]
    return Section(
        "Rows", parts + ([paragraph(f"Without results: {', '.join(waiting)}.")] if waiting else [])
    )


def _world_models(ablation: Ablation) -> Section:
    if not len(ablation.quality):
        return Section("World models", [note("No world model was measured.")])
    wide = ablation.quality.pivot_table(index=["row", "seed"], columns="name", values="value", sort=False)
    shown = {name: title for name, title in QUALITY.items() if name in wide.columns}
    table = wide[list(shown)].rename(columns=shown).map(_figure_text).reset_index()
    text = (
        "Prediction from one frame on held-out sequences (PSNR, SSIM), and losses on held-out windows at the "
        "end of training. Losses of rows that weigh them differently are not on one scale of merit."
    )
    return Section("World models", [paragraph(text), plain_html(table, numeric=list(shown.values()))])


def _figure_text(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.4g}"


def _provenance(ablation: Ablation) -> Section:
    return Section(
        "What this rests on",
        [heading("Versions and digests"), details("All artefacts", plain_html(ablation.ancestry))],
    )


def _markdown(table: pd.DataFrame) -> str:
    return f"{plain_markdown(table)}\n" if len(table) else "Not run yet.\n"
