"""Ratios within one run, and the table they are printed in.

Times are CPU seconds of this process, so that a program waiting for a core is not charged for the wait. Both
sides take turns in the same process, under the same threads and allocator settings, and the ratio is taken
turn by turn: what disturbs one disturbs the other. A busy machine still slows both unequally; the spread is
printed beside the median.
"""

import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

REACHED, MISSED = "reached", "missed"


def verdict(value: float, bar: float, *, at_most: bool = False) -> str:
    """Whether a value reaches its bar, in a word.

    Args:
        value: What was measured.
        bar: What it is to be.
        at_most: Whether the bar is an upper one.
    """
    return REACHED if (value <= bar if at_most else value >= bar) else MISSED


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        work: What was done.
        against: What it is compared with.
        ratio: Median of the turns; None where it was not measured.
        spread: Smallest and largest ratio of a turn.
        bar: Ratio to reach; None where there is none.
        at_most: Whether the bar is an upper one.
        note: What was not like for like, or why there is no figure.
    """

    work: str
    against: str
    ratio: float | None
    spread: tuple[float, float] | None = None
    bar: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def mark(self) -> str:
        """Whether the bar is reached, in a word."""
        if self.ratio is None:
            return "not measured"
        if self.bar is None:
            return ""
        return verdict(self.ratio, self.bar, at_most=self.at_most)

    def cells(self) -> list[str]:
        """Work, peer, ratio, bar, mark and note."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        if self.spread is not None:
            ratio += f" [{self.spread[0]:.2f}..{self.spread[1]:.2f}]"
        bar = "" if self.bar is None else f"{'<=' if self.at_most else '>='} {self.bar}x"
        return [self.work, self.against, ratio, bar, self.mark, self.note]


HEADER = ["work", "against", "ratio", "bar", "", "note"]


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def take_turns(
    sides: Mapping[str, Callable[[], object]], turns: int, *, by_the_clock: bool = False
) -> dict[str, list[float]]:
    """CPU seconds of each side and turn, or seconds by the clock, after one call each to warm up."""
    spent = time.perf_counter if by_the_clock else time.process_time
    for work in sides.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, work in sides.items():
            begin = spent()
            work()
            seconds[name].append(spent() - begin)
    return seconds


def ratio_row(
    work: str, against: str, theirs: Sequence[float], ours: Sequence[float], **options: object
) -> Row:
    """How many times our seconds fit into theirs."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    note = f"{median(ours):.3f} s against {median(theirs):.3f} s, n {len(ratios)}"
    more = str(options.pop("note", ""))
    return Row(
        work,
        against,
        median(ratios),
        (min(ratios), max(ratios)),
        note="; ".join(filter(None, [note, more])),
        **options,  # type: ignore[arg-type]
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine() -> dict[str, str]:
    """Where and with what it was measured."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    commit = ""
    if shutil.which("git"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        commit = done.stdout.strip()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit or "unknown",
        "cpu": models[0].split(":")[1].strip() if models else platform.processor(),
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
    }


def save(rows: Sequence[Row], folder: Path, name: str, title: str, method: str) -> Path:
    """Write ``<date>-<name>.md`` and ``.json`` and return the page."""
    content = {"method": method, "rows": [asdict(row) for row in rows]}
    return save_page(folder / name, title, machine(), content, [method, "", table(rows)])


def save_page(
    stem: Path, title: str, facts: Mapping[str, str], content: Mapping[str, Any], lines: Sequence[str]
) -> Path:
    """Write ``<date>-<name>.md`` and ``.json`` and return the page.

    Args:
        stem: Folder, made when missing, and name of both files.
        title: Headline.
        facts: Where and with what it was measured, ``date`` among them; see :func:`machine`.
        content: Data beside title and facts.
        lines: Of the page, below them.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem = stem.with_name(f"{facts['date']}-{stem.name}")
    data = {"title": title, "machine": facts, **content}
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    where = ", ".join(f"{key} {value}" for key, value in facts.items())
    stem.with_suffix(".md").write_text("\n".join([f"# {title}", "", f"{where}.", "", *lines, ""]))
    return stem.with_suffix(".md")
