"""Fitted slopes of costs, what they mean for larger data, and the page and plot that show it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.ingest import DATA_SET_FRAMES

FAR = {"CALVIN D": DATA_SET_FRAMES, "ten times that": 10 * DATA_SET_FRAMES}
"""Frames that are extrapolated to."""
LEAST_GROWTH_MB = 30.0
"""Memory that grows by less over an axis is called constant."""
FLAT = 0.15
"""Slopes below it are called constant."""


@dataclass(frozen=True)
class Cost:
    """What one measurement found.

    Attributes:
        stage: Its name.
        axis: What was varied.
        value: Where on the axis.
        wall: Seconds on the clock.
        cpu: Seconds of all processors, workers included.
        memory: MB at most, this process's and its workers' added up.
        before: MB that the process had when its modules were imported.
    """

    stage: str
    axis: str
    value: float
    wall: float
    cpu: float
    memory: float
    before: float


def fitted_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Exponent b of ``y = a x^b`` by least squares of the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@dataclass(frozen=True)
class Growth:
    """Costs of a stage along an axis, in rising order."""

    costs: tuple[Cost, ...]

    @property
    def largest(self) -> Cost:
        """The last one."""
        return self.costs[-1]

    @property
    def cpu_slope(self) -> float | None:
        """Of CPU seconds; None for a single measurement."""
        if len(self.costs) < 2:
            return None
        return fitted_slope([c.value for c in self.costs], [max(c.cpu, 1e-3) for c in self.costs])

    @property
    def memory_slope(self) -> float | None:
        """Of the memory beyond what the imports take; None where it hardly grows."""
        if len(self.costs) < 2 or self.largest.memory - self.costs[0].memory < LEAST_GROWTH_MB:
            return None
        beyond = [max(1.0, c.memory - c.before) for c in self.costs]
        return fitted_slope([c.value for c in self.costs], beyond)

    def at(self, frames: float) -> tuple[float, float, float]:
        """CPU seconds by the slope and in proportion, and MB in proportion, at so many frames."""
        times, last = frames / self.largest.value, self.largest
        slope = self.cpu_slope or 0.0
        by_slope = last.cpu * times ** (0.0 if abs(slope) < FLAT else slope)
        in_proportion = last.cpu if abs(slope) < FLAT else last.cpu * times
        memory = last.memory
        if self.memory_slope is not None:
            first = self.costs[0]
            rate = (last.memory - first.memory) / (last.value - first.value)
            memory += rate * (frames - last.value)
        return by_slope, in_proportion, memory


def growths(costs: Sequence[Cost]) -> list[Growth]:
    """Costs by stage and axis."""
    keys = dict.fromkeys((cost.stage, cost.axis) for cost in costs)
    return [
        Growth(tuple(sorted((c for c in costs if (c.stage, c.axis) == key), key=lambda c: c.value)))
        for key in keys
    ]


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"


def size(megabytes: float) -> str:
    """MB or GB."""
    return f"{megabytes / 1000:,.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def _slope(value: float | None) -> str:
    return "constant" if value is None or abs(value) < FLAT else f"{value:.2f}"


def cost_table(found: Sequence[Growth]) -> list[str]:
    """Everything measured, as Markdown."""
    lines = ["| stage | against | values | CPU s | clock s | peak memory MB | slope of time | of memory |"]
    lines.append("|" + " --- |" * 8)
    for growth in found:
        first = growth.costs[0]
        numbers = (
            [f"{c.value:g}" for c in growth.costs],
            [f"{c.cpu:.2f}" for c in growth.costs],
            [f"{c.wall:.2f}" for c in growth.costs],
            [f"{c.memory:.0f}" for c in growth.costs],
        )
        lists = " | ".join(", ".join(values) for values in numbers)
        memory = _slope(growth.memory_slope)
        lines.append(f"| {first.stage} | {first.axis} | {lists} | {_slope(growth.cpu_slope)} | {memory} |")
    return lines


def far_table(found: Sequence[Growth]) -> list[str]:
    """What the stages that were measured against frames would cost on larger data, extrapolated."""
    titles = [f"{name}, {frames:,} frames: CPU time | memory" for name, frames in FAR.items()]
    lines = ["| stage | " + " | ".join(titles) + " |", "|" + " --- |" * (1 + 2 * len(FAR))]
    for growth in found:
        if growth.costs[0].axis != "frames" or len(growth.costs) < 2:
            continue
        cells = [growth.costs[0].stage]
        for frames in FAR.values():
            by_slope, in_proportion, memory = growth.at(frames)
            low, high = sorted((by_slope, in_proportion))
            same = math.isclose(low, high, rel_tol=0.05)
            cells += [duration(high) if same else f"{duration(low)} to {duration(high)}", size(memory)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def plot(found: Sequence[Growth]) -> str:
    """CPU seconds and peak memory along each axis, as SVG in the report's style."""
    from wam.report.plots import new_figure, page_style, to_svg  # noqa: PLC0415 - measuring needs no Matplotlib

    axes_names = list(dict.fromkeys(growth.costs[0].axis for growth in found))
    with page_style():
        figure = new_figure(3.6 * len(axes_names), 6.4)
        for column, axis in enumerate(axes_names):
            time, memory = (
                figure.add_subplot(2, len(axes_names), row + column) for row in (1, 1 + len(axes_names))
            )
            for growth in (growth for growth in found if growth.costs[0].axis == axis):
                x = [cost.value for cost in growth.costs]
                time.plot(
                    x, [cost.cpu for cost in growth.costs], "o-", label=growth.costs[0].stage, markersize=3
                )
                memory.plot(x, [cost.memory for cost in growth.costs], "o-", markersize=3)
            time.set(xscale="log", yscale="log", title=f"against {axis}", ylabel="CPU seconds")
            memory.set(xscale="log", yscale="log", xlabel=axis, ylabel="peak memory (MB)")
            values = sorted({cost.value for growth in found for cost in growth.costs if cost.axis == axis})
            for part in (time, memory):
                part.set_xticks(values, [f"{value:g}" for value in values], fontsize=7)
                part.set_xticks([], minor=True)
            time.legend(fontsize=7)
        return to_svg(figure)
