"""Ratios within one run, profiles, and the table they are printed in.

Times are CPU seconds of this process, so that a program waiting for a core is not charged for the wait. Both
sides take turns in the same process, under the same threads and allocator settings, and the ratio is taken
turn by turn: what disturbs one disturbs the other. A busy machine still slows both unequally; the spread is
printed beside the median.
"""

import cProfile
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from zarr.core.sync import cleanup_resources

REACHED, MISSED = "reached", "missed"
OUTSIDE = "Python, between operations"
Shares = list[tuple[str, float]]
"""Names and their shares of the time of one call, the largest first."""
_SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
_WAITS = {
    "method 'acquire' of '_thread.lock' objects",
    "method 'get' of '_queue.SimpleQueue' objects",
    "method 'poll' of 'select.epoll' objects",
}


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
    sides: dict[str, Callable[[], object]], turns: int, *, by_the_clock: bool = False
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


def by_operation(work: Callable[[], object]) -> Shares:
    """Profile PyTorch's operations by the time that they spend themselves, on the clock."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found, record_function(OUTSIDE):
        work()
    return _shares({event.key: event.self_cpu_time_total for event in found.key_averages()})


def by_function(work: Callable[[], object]) -> Shares:
    """Profile functions by the time that they spend themselves, on the clock, in threads that begin too.

    Waiting for another thread is left out. Python code of other packages is summed up by package; what
    Cython calls counts for its caller.
    """
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        mine = cProfile.Profile()
        profiles.append(mine)
        mine.enable()

    cleanup_resources()  # so that Zarr's threads begin anew
    if sys.version_info < (3, 12):  # from then on one profile is made at a time
        threading.setprofile(begin)
    begin()
    try:
        work()
    finally:
        profiles[0].disable()
        threading.setprofile(None)
        cleanup_resources()
    spent: dict[str, float] = defaultdict(float)
    for entry in (entry for one in profiles for entry in one.getstats()):
        name = _function_name(entry.code)
        spent[name] += 0.0 if name in _WAITS else entry.inlinetime
    return _shares(spent)


def _function_name(code: Any) -> str:
    """Name and file of a function of ours, package of another one; of one in C what it is called."""
    if isinstance(code, str):
        return code.strip("<>").removeprefix("built-in method ")
    file = Path(code.co_filename)
    if file.is_relative_to(_SITE_PACKAGES):
        return f"{file.relative_to(_SITE_PACKAGES).parts[0]} (Python)"
    if file.is_relative_to(_STANDARD_LIBRARY):
        return f"{Path(file.relative_to(_STANDARD_LIBRARY).parts[0]).stem} (Python)"
    return f"{code.co_qualname} ({file.name})"


def _shares(spent: Mapping[str, float]) -> Shares:
    total = sum(spent.values())
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    return [(name, value / total) for name, value in ordered if value > 0]


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
