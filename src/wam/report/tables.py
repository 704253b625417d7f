"""Tables for people: Markdown for files, HTML for the page."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import pandas as pd

from wam.evaluation.success import MEAN_ROW
from wam.report.cells import Cell, cells_of, tasks_of
from wam.report.labels import PolicyName, color_of, ordered_policies, task_title
from wam.report.published import ANOTHER_DATA_SET, PUBLISHED, Published

MISSING: Final = "n/a"
"""What stands where nothing was measured."""


def percent(value: float) -> str:
    """A share as whole percent, "n/a" for a missing one."""
    return MISSING if math.isnan(value) else f"{100 * value:.0f} %"


def signed_points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def success_markdown(success: pd.DataFrame) -> str:
    """Success of every policy by task as a Markdown table, k/N with its 95 % interval.

    Args:
        success: Table of ``evaluation.success.success_table``.
    """
    policies = ordered_policies(list(success["policy"].unique()))
    cells = cells_of(success)
    head = [
        "task",
        *(PolicyName.parse(key).title for key in policies),
        *(_published_title(p) for p in PUBLISHED),
    ]
    lines = [_markdown_row(head), _markdown_row(["---"] * len(head))]
    for task in tasks_of(success):
        ours = [_plain_cell(cells.get((key, task))) for key in policies]
        lines.append(_markdown_row([task_title(task), *ours, *(_published_cell(p, task) for p in PUBLISHED)]))
    note = f"Published columns: {ANOTHER_DATA_SET}, another data set; for orientation only."
    return "\n".join([*lines, "", note, ""])


def plain_markdown(table: pd.DataFrame) -> str:
    """Any small table of ready-made text as Markdown, without a line end behind it."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join(_markdown_row(row) for row in rows)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _published_title(column: Published) -> str:
    return f"{column.title} ({column.source}; {ANOTHER_DATA_SET})"


def _published_cell(column: Published, task: str) -> str:
    value = column.mean if task == MEAN_ROW else column.percent[task]
    return f"{value:.1f} %"


def _plain_cell(cell: Cell | None) -> str:
    return (
        MISSING
        if cell is None
        else f"{cell.successes}/{cell.trials} = {percent(cell.rate)} [{cell.interval}]"
    )


def success_html(success: pd.DataFrame) -> str:
    """The same table for the page: grouped columns, a bar below every rate; our own policies only."""
    policies = ordered_policies(list(success["policy"].unique()))
    cells = cells_of(success)
    body = [
        _html_row(task, "".join(_html_cell(key, cells.get((key, task))) for key in policies))
        for task in tasks_of(success)
    ]
    names = [PolicyName.parse(key) for key in policies]
    learned = sum(not name.is_control for name in names)
    groups = [("", 1), ("world models", learned), ("controls, same starts", len(names) - learned)]
    titles = "".join(f"<th>{escape(name.title)}</th>" for name in names)
    return _grouped(groups, titles, body)


def published_html(success: pd.DataFrame) -> str:
    """Rates of the world models' policies beside the papers', which come from another data set."""
    policies = [key for key in ordered_policies(list(success["policy"].unique())) if _is_learned(key)]
    cells = cells_of(success)
    body = []
    for task in tasks_of(success):
        ours = "".join(f"<td>{_rate(cells.get((key, task)))}</td>" for key in policies)
        published = (_published_cell(column, task) for column in PUBLISHED)
        body.append(
            _html_row(task, ours + "".join(f'<td class="published">{text}</td>' for text in published))
        )
    titles = "".join(f"<th>{escape(PolicyName.parse(key).title)}</th>" for key in policies)
    titles += "".join(
        f'<th class="published">{escape(column.title)}<small>{escape(column.source)}</small></th>'
        for column in PUBLISHED
    )
    groups = [
        ("", 1),
        ("here", len(policies)),
        (f"published: {ANOTHER_DATA_SET}, another data set", len(PUBLISHED)),
    ]
    return _grouped([group for group in groups if group[1]], titles, body)


def _is_learned(key: str) -> bool:
    return not PolicyName.parse(key).is_control


def _rate(cell: Cell | None) -> str:
    return MISSING if cell is None else percent(cell.rate)


def _html_row(task: str, cells: str) -> str:
    kind = ' class="mean"' if task == MEAN_ROW else ""
    name = "mean over tasks" if task == MEAN_ROW else task_title(task)
    return f"<tr{kind}><th>{escape(name)}</th>{cells}</tr>"


def _grouped(groups: Iterable[tuple[str, int]], titles: str, body: Iterable[str]) -> str:
    spans = "".join(f'<th colspan="{width}">{escape(title)}</th>' for title, width in groups)
    head = f"<thead><tr>{spans}</tr><tr><th>task</th>{titles}</tr></thead>"
    return f'<div class="wide"><table class="success">{head}<tbody>{"".join(body)}</tbody></table></div>'


def _html_cell(policy: str, cell: Cell | None) -> str:
    if cell is None:
        return f"<td>{MISSING}</td>"
    color = color_of(PolicyName.parse(policy).condition)
    return (
        f'<td><span class="bar" style="width:{100 * cell.rate:.1f}%;background:{color}"></span>'
        f"<b>{percent(cell.rate)}</b> <i>{cell.successes}/{cell.trials}</i>"
        f"<small>{cell.interval}</small></td>"
    )


def plain_html(table: pd.DataFrame, *, numeric: Sequence[str] = ()) -> str:
    """Any small table of ready-made text as HTML.

    Args:
        table: Cells are shown as they are.
        numeric: Columns set flush right.
    """
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    rows = []
    for values in table.astype(str).itertuples(index=False):
        cells = zip(table.columns, values, strict=True)
        rows.append(
            "".join(
                f'<td class="{"n" if name in numeric else "t"}">{escape(value)}</td>' for name, value in cells
            )
        )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def differences_html(table: pd.DataFrame) -> str:
    """Paired differences in percentage points."""
    shown = pd.DataFrame(
        {
            "policy": [PolicyName.parse(key).title for key in table["policy"]],
            "minus": [PolicyName.parse(key).title for key in table["baseline"]],
            "starts": table["starts"].astype(str),
            "difference (points)": [signed_points(value) for value in table["difference"]],
            "95 % interval": [
                f"{signed_points(low)} to {signed_points(high)}"
                for low, high in zip(table["low"], table["high"], strict=True)
            ],
        }
    )
    return plain_html(shown, numeric=["starts", "difference (points)", "95 % interval"])
