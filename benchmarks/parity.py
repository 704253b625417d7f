"""The same starts and the same actions through the official calvin_env and through ours with CALVIN's assets.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks parity CALVIN_ENV [ASSETS] [--starts 5]``. `CALVIN_ENV` is a
checkout of calvin_env, `ASSETS` its `data` folder or another copy. Each trajectory runs in a fresh process.
Writes `<output>/<date>-parity.md`.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
from numpy.typing import NDArray

from benchmarks.parity_runs import IMAGE_EVERY, NAMES, STEPS, Arrays, configs, expert_plan, random_plan, work
from wam.tasks.table import TASK_NAMES

SIDES = ("official", "backend", "ours", "official 2")
"""calvin_env driven directly, through our backend after another episode, our simulator, and calvin_env once
more, with blocks loaded at random places before the start puts them in theirs, as its configuration says."""


def fresh(job: Mapping[str, Any], folder: Path, benchmark: str = "parity") -> Arrays:
    """Run a job of a benchmark in a process of its own."""
    target = folder / f"{job['kind']} of {job['side']}"
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks", benchmark]
    command += ["--job", json.dumps({**job, "target": str(target)})]
    root = Path(__file__).parents[1]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=root)  # noqa: S603 - our own files
    with np.load(target.with_suffix(".npz")) as archive:
        return dict(archive)


def angle_safe(first: NDArray[np.float64], second: NDArray[np.float64], angles: list[int]) -> float:
    """Largest difference; at `angles` around the circle."""
    gap = np.abs(first - second)
    gap[:, angles] = np.minimum(gap[:, angles], np.abs(2 * np.pi - gap[:, angles]))
    return float(gap.max())


def trajectory_row(first: Arrays, second: Arrays) -> dict[str, Any]:
    """Largest differences of one trajectory, equal verdicts and equal pixels."""
    blocks = [9, 10, 11, 15, 16, 17, 21, 22, 23]
    return {
        "joints (rad)": angle_safe(first["robot"][:, 7:14], second["robot"][:, 7:14], []),
        "TCP (m, rad)": angle_safe(first["robot"][:, :6], second["robot"][:, :6], [3, 4, 5]),
        "gripper (m)": angle_safe(first["robot"][:, 6:7], second["robot"][:, 6:7], []),
        "scene (m, rad)": angle_safe(first["scene"], second["scene"], blocks),
        "verdicts true": int(first["verdicts"].sum()),
        "verdicts that differ": int((first["verdicts"] != second["verdicts"]).sum()),
        "pixels that differ": int(
            sum((first[camera] != second[camera]).sum() for camera in ("static", "gripper"))
        ),
    }


def moved(run: Arrays) -> str:
    """What happened in a trajectory, so that a parity of nothing is seen as such."""
    scene = run["scene"]
    furniture = np.ptp(scene[:, :4], axis=0)
    blocks = max(float(np.ptp(scene[:, 6 + 6 * i : 9 + 6 * i], axis=0).max()) for i in range(3))
    return f"{1000 * furniture.max():.0f} / {1000 * blocks:.0f} mm"


def table_text(rows: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = [
            f"{value:.1e}" if isinstance(value, float) and value else str(value) for value in row.values()
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def absolute(folder: str | None) -> str | None:
    """A folder as child processes, which run elsewhere, can find it."""
    return None if folder is None else str(Path(folder).resolve())


def report(arguments: argparse.Namespace) -> str:
    """Run everything and write it down."""
    rows = []
    shared = {"calvin_env": absolute(arguments.calvin_env), "assets": absolute(arguments.assets)}
    ours = configs(arguments.calvin_env, arguments.assets)[1]
    plans = [random_plan(ours, seed) for seed in range(arguments.starts)]
    plans += [expert_plan(ours, task) for task in TASK_NAMES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for plan in plans:
            path = folder / f"{plan.name}.npz"
            plan.save(path)
            jobs = {side: {**shared, "kind": "run", "side": side, "plan": str(path)} for side in SIDES}
            runs = {side: fresh(job, folder) for side, job in jobs.items()}
            about = {"actions": plan.name, "furniture / blocks moved": moved(runs["official"])}
            rows += [
                {**about, "side": side, **trajectory_row(runs["official"], runs[side])} for side in SIDES[1:]
            ]
        moments = {
            side: fresh({**shared, "kind": "moments", "side": side}, folder) for side in ("official", "ours")
        }
    same = [row for row in rows if row["side"] != "official 2"]
    noise = [row for row in rows if row["side"] == "official 2"]
    spread = "## calvin_env against itself, blocks loaded at random before the start puts them in place"
    return "\n".join(
        [
            *header(arguments),
            table_text(same),
            "",
            spread,
            "",
            table_text(noise),
            "",
            *predicate_text(moments),
        ]
    )


def header(arguments: argparse.Namespace) -> list[str]:
    """Title and what was run."""
    folder = Path(arguments.calvin_env)
    return [
        f"# Parity with the official calvin_env, {datetime.date.today().isoformat()}",
        "",
        f"{arguments.starts} random starts (seeds from 0) with random actions that lean downwards and, for "
        f"each of {len(TASK_NAMES)} tasks, a start and its scripted expert: {STEPS} actions each, one fresh "
        f"process per cell. Static 200x200 and gripper 84x84 images at every {IMAGE_EVERY}th step, "
        f"TinyRenderer. Python {platform.python_version()}, NumPy {np.__version__}, PyBullet API "
        f"{pybullet.getAPIVersion()}, {platform.machine()}. "
        f"Command: `python -m benchmarks parity {folder.name} --starts {arguments.starts}`.",
        "",
        "Differences are the largest absolute ones over all steps from calvin_env driven directly. "
        "`backend`: calvin_env behind our seam, after another episode in the same process. `ours`: our "
        "simulator with CALVIN's assets. Verdicts: 34 predicates at each of 201 moments relative to the "
        "first, the official oracle there and ours here.",
        "",
    ]


def predicate_text(moments: Mapping[str, Arrays]) -> list[str]:
    """The truth table of the 34 predicates over constructed moments."""
    truth = moments["official"]["official_oracle"]
    others = {
        "our oracle on the official moments": moments["official"]["our_oracle"],
        "the official oracle on our moments": moments["ours"]["official_oracle"],
        "our oracle on our moments": moments["ours"]["our_oracle"],
    }
    pairs = truth.shape[0] * truth.shape[1]
    lines = [
        f"## Task oracle: {truth.shape[0]} constructed moments, {pairs} ordered pairs, 34 predicates",
        "",
    ]
    lines += [
        f"- {name}: {int((verdicts != truth).sum())} verdicts differ" for name, verdicts in others.items()
    ]
    true = truth.sum(axis=(0, 1))
    rows = [
        {"predicate": name, "true": int(true[i]), "false": pairs - int(true[i])}
        for i, name in enumerate(NAMES)
    ]
    return [*lines, "", table_text(rows), ""]


def command_line(
    about: str,
    work: Callable[[Mapping[str, Any]], Arrays],
    report: Callable[[argparse.Namespace], str],
    *,
    name: str,
    starts: int,
) -> None:
    """The command line of a benchmark whose sides run in processes of their own; writes its page.

    Args:
        about: What it does.
        work: What such a process measures; it is given a `--job`.
        report: Makes the page.
        name: Of the page.
        starts: As many by default.
    """
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("calvin_env", nargs="?", help="folder of a checkout of calvin_env")
    parser.add_argument("assets", nargs="?", help="its data folder, or another copy")
    parser.add_argument("--starts", type=int, default=starts)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        job = json.loads(arguments.job)
        np.savez(job["target"], **dict[str, Any](work(job)))
        sys.stdout.flush()
        os._exit(0)  # the official environment's finaliser prints and fails after its client is gone
    if not arguments.calvin_env:
        parser.error("name the folder of a checkout of calvin_env")
    text = report(arguments)
    target = arguments.output / f"{datetime.date.today().isoformat()}-{name}.md"
    target.write_text(text)
    print(text)


if __name__ == "__main__":
    command_line(__doc__ or "", work, report, name="parity", starts=5)
