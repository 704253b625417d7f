"""What each stage costs as frames, tasks, workers and width grow: time, memory, fitted slopes.

    python -m benchmarks growth --save docs/results
    python -m benchmarks growth --toy                    every measurement, at sizes that say nothing

Every measurement is a fresh process on one thread, so that its peak memory is its own. A file that replaces
the one before is written after each, so a run that is ended leaves what was measured.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.growth_page import Cost, cost_table, far_table, growths, plot
from benchmarks.measure import machine

METHOD = (
    "Each figure is one measurement (n 1) of the library's own functions on made-up data, in a process of "
    "its own, one thread each; CPU seconds count all processes and threads, memory adds up the largest "
    "resident size of the process and of its workers. Work that does not depend on the axis is fixed: 4 "
    "world-model steps of 16 x 8 frames, 100 steps of classifier and cloning on 1,280 features, 8 starts a "
    "task, 1 PPO iteration of 50 environments, all at the laptop's widths. Frames to pack are links to 200 "
    "different files in CALVIN's layout, so the disk is not measured. Slopes are exponents of fitted powers; "
    "constant parts pull them below 1, so extrapolated times are given by the slope and in proportion to the "
    "largest measurement, and memory along the straight line through the smallest and the largest. What is "
    "extrapolated was not measured."
)


@dataclass(frozen=True)
class Plan:
    """Values of each axis, and of the others meanwhile."""

    frames: tuple[int, ...]
    play: tuple[int, ...]
    tasks: tuple[int, ...]
    workers: tuple[int, ...]
    widths: tuple[float, ...]
    toy: bool


FULL = Plan((5_000, 20_000, 80_000), (256, 1024, 4096), (1, 4, 8), (1, 2), (0.5, 1.0, 2.0, 4.0), toy=False)
TOY = Plan((60, 120), (132,), (1, 2), (1,), (1.0, 2.0), toy=True)
AXES = {
    "play": ("frames", "workers"),
    "ingest": ("frames", "workers"),
    "load": ("frames",),
    "world model": ("frames", "width"),
    "featurise": ("frames", "width"),
    "classifier": ("frames", "tasks"),
    "cloning": ("frames", "tasks"),
    "evaluation": ("tasks", "workers"),
    "ppo": ("tasks", "width"),
}
"""What each stage is measured against."""


def points(plan: Plan, folder: Path, stages: Sequence[str]) -> list[dict[str, object]]:
    """All measurements, in an order in which each finds what it reads."""
    found = []
    for stage in stages:
        sizes = plan.play if stage == "play" else plan.frames
        middle = sizes[len(sizes) // 2]
        for axis in AXES[stage]:
            values = {"frames": sizes, "tasks": plan.tasks, "workers": plan.workers, "width": plan.widths}[
                axis
            ]
            for value in values:
                usual = {"frames": middle if axis == "workers" else sizes[0], "tasks": 1, "workers": 1}
                point = {"stage": stage, "axis": axis, **usual, "width": 1.0, axis: value}
                found.append(point | {"folder": str(folder), "toy": plan.toy})
    return found


def fresh_process(point: dict[str, object]) -> dict[str, object]:
    """Measure in a process of its own; returns a cost's values."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "benchmarks.growth", "--point", json.dumps(point)]
    done = subprocess.run(  # noqa: S603 - our own file
        command, env=environment, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, check=True
    )
    values: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return values


def peak_mb(process: str = "self") -> float:
    """Largest resident size of a process; unlike ``ru_maxrss`` without that of whoever started it."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def workers_mb() -> float:
    """Largest resident sizes of the processes that this one started and that still run, added up."""
    lists = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return sum(peak_mb(process) for children in lists for process in children)


def measured(point: dict[str, object]) -> Cost:
    """Do the work of a point in this process."""
    from benchmarks.growth_stages import STAGES, Point  # noqa: PLC0415 - the whole library: only to measure
    from wam.evaluation.pools import close_kept_pools  # noqa: PLC0415
    from wam.parallel.map import shutdown_workers  # noqa: PLC0415

    at: Point = Point(**point)  # type: ignore[arg-type]
    before = peak_mb()
    work = STAGES[at.stage](at)
    begin, clock = os.times(), time.perf_counter()
    work()
    wall, memory = time.perf_counter() - clock, peak_mb() + workers_mb()
    shutdown_workers()
    close_kept_pools()
    end = os.times()  # a child's seconds are known once it is gone
    cpu = sum(end[:4]) - sum(begin[:4])
    return Cost(at.stage, at.axis, at.value, wall, cpu, memory, before)


def measure(
    plan: Plan,
    folder: Path,
    stages: Sequence[str],
    one: Callable[[dict[str, object]], dict[str, object]],
    keep: Callable[[list[dict[str, object]]], None],
) -> list[dict[str, object]]:
    """Measure every point.

    Args:
        plan: Sizes.
        folder: Scratch.
        stages: To measure, in the order of :data:`AXES`.
        one: Measures a point.
        keep: Is given what is known after each.
    """
    costs: list[dict[str, object]] = []
    wanted = points(plan, folder, stages)
    reading = {"ingest", "load", "world model", "featurise"}
    sources = sorted({point["frames"] for point in wanted if point["stage"] in reading})  # type: ignore[type-var]
    for frames in sources:
        base = {"axis": "frames", "frames": frames, "tasks": 1, "workers": 1, "width": 1.0}
        base |= {"folder": str(folder), "toy": plan.toy}
        one(base | {"stage": "raw frames"})
        if "ingest" not in stages:
            one(base | {"stage": "ingest"})
    known: dict[tuple[object, ...], dict[str, object]] = {}
    for point in wanted:
        key = tuple(value for name, value in point.items() if name != "axis")
        if key not in known:  # axes meet in a point
            known[key] = one(point)
        cost = known[key] | {"axis": point["axis"], "value": float(point[str(point["axis"])])}  # type: ignore[arg-type]
        line = f"{point['stage']}, {point['axis']} {point[str(point['axis'])]:g}: "
        print(f"{line}{cost['cpu']:.2f} CPU s, {cost['wall']:.2f} s, {cost['memory']:.0f} MB", flush=True)
        costs.append(cost)
        keep(costs)
        if point["stage"] == "play":
            for path in folder.glob("play-*"):
                shutil.rmtree(path)
    return costs


def write(stem: Path, facts: dict[str, str], values: list[dict[str, object]], *, drawn: bool) -> None:
    """Replace the files by what is known: data, page and, if it is to be drawn, the plot."""
    found = growths([Cost(**value) for value in values])  # type: ignore[arg-type]
    stem.parent.mkdir(parents=True, exist_ok=True)
    head = ", ".join(f"{name} {value}" for name, value in facts.items())
    page = ["# Costs that grow", "", f"{head}.", "", METHOD, "", f"![costs]({stem.name}.svg)", ""]
    page += [*cost_table(found), "", "Extrapolated:", "", *far_table(found), ""]
    texts = {".json": json.dumps({"machine": facts, "method": METHOD, "costs": values}, indent=1) + "\n"}
    texts[".md"] = "\n".join(page)
    texts |= {".svg": plot(found)} if drawn else {}
    for suffix, text in texts.items():
        partial = stem.with_suffix(f"{suffix}.partial")
        partial.write_text(text)
        os.replace(partial, stem.with_suffix(suffix))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks growth", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--toy", action="store_true", help="small sizes: does it run")
    parser.add_argument("--stages", nargs="*", choices=list(AXES), default=list(AXES))
    parser.add_argument("--place", type=Path, help="folder for scratch files (5 GB), removed afterwards")
    parser.add_argument("--save", type=Path, help="folder for page, data and plot, docs/results")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> list[dict[str, object]]:
    """Measure, print and keep."""
    args = parse(arguments)
    if args.point:
        print(json.dumps(asdict(measured(args.point))))
        return []
    facts = machine() | {"cores": str(os.cpu_count()), "load at the start": f"{os.getloadavg()[0]:.1f}"}
    stem = args.save and args.save / f"{facts['date']}-growth{'-toy' if args.toy else ''}"

    def keep(values: list[dict[str, object]]) -> None:
        if stem:
            write(stem, facts, values, drawn=False)  # drawing takes as long as a small measurement

    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=args.place, prefix="growth-") as scratch:
        costs = measure(TOY if args.toy else FULL, Path(scratch), args.stages, fresh_process, keep)
    if stem:
        write(stem, facts, costs, drawn=True)
    found = growths([Cost(**value) for value in costs])  # type: ignore[arg-type]
    print("\n".join([*cost_table(found), "", *far_table(found)]))
    print(f"done in {time.monotonic() - begin:.0f} s" + (f", written to {stem}.md" if stem else ""))
    return costs


if __name__ == "__main__":
    main(sys.argv[1:])
