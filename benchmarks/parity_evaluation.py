"""The same evaluation in the official calvin_env and in our simulator with CALVIN's assets.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks parity_evaluation CALVIN_ENV [ASSETS] [--starts 3]``. Both are
evaluated as policies are (``wam.evaluation.rollout``), each judged by its own oracle and in a fresh process:
recorded actions, half of them with a stroke that is too short, and the scripted expert, which looks at
where things are. Writes `<output>/<date>-parity-evaluation.md`.
"""

import argparse
import datetime
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity import absolute, command_line, fresh, table_text
from benchmarks.parity_runs import Arrays, configs
from wam.evaluation.baselines import expert_rollout
from wam.evaluation.rollout import MAX_STEPS, rollout
from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.expert_runs import Variant, run_expert
from wam.sim.frames import SimFrames
from wam.sim.pool import SimPool
from wam.sim.starts import sample_start
from wam.tasks.starts import Start
from wam.tasks.table import TASK_NAMES

SIDES = ("backend", "ours")
VARIANTS: Final[tuple[Variant, ...]] = ("full", "short")
"""How the recorded actions were made: the expert's, and the expert's with a stroke stopped before success."""


class Recorded:
    """An agent that does what was recorded, whatever it sees.

    Args:
        actions: (n, MAX_STEPS, 7) relative actions.
    """

    act_steps = 4
    needs_images = False

    def __init__(self, actions: NDArray[np.float32]) -> None:
        self._actions, self._step = actions, 0

    def reset(self, frames: SimFrames) -> None:
        """Begin again."""
        del frames
        self._step = 0

    def act(self) -> NDArray[np.float32]:
        """The next chunk (n, act_steps, 7)."""
        first, self._step = self._step, self._step + self.act_steps
        return self._actions[:, first : self._step]

    def observe(self, frames: SimFrames, action: NDArray[np.float32], active: NDArray[np.bool_]) -> None:
        """Nothing is looked at."""


def starts_of(config: SimConfig, task: str, count: int) -> list[Start]:
    """The starts of a task, the same in every process."""
    return [sample_start(config, numpy_generator(i, "parity", task), task) for i in range(count)]


def recorded_actions(config: SimConfig, starts: Sequence[Start], task: str) -> NDArray[np.float32]:
    """What the expert does from each start, then what it does in a short stroke, then stillness.

    Returns:
        (2 n, MAX_STEPS, 7).
    """
    actions = np.zeros((2 * len(starts), MAX_STEPS, 7), np.float32)
    rows = [(variant, start) for variant in VARIANTS for start in starts]
    for row, (variant, start) in zip(actions, rows, strict=True):
        run = run_expert(config, start, task, seed=0, variant=variant, stop_at_success=False)
        row[: len(run.commands)] = run.commands
        row[len(run.commands) :, 6] = run.commands[-1, 6]
    return actions


def evaluated(config: SimConfig, actions: Mapping[str, NDArray[np.float32]]) -> Arrays:
    """Evaluate the recorded actions and the expert of each task in one simulator.

    Args:
        config: The simulator.
        actions: Of each task, as :func:`recorded_actions` made them.

    Returns:
        Success and steps by task: ``<task> success (2 n,)``, ``<task> steps``, ``<task> expert success
        (n,)``, ``<task> expert steps``.
    """
    found: Arrays = {}
    with SimPool(config, workers=0) as pool:
        for task, recorded in actions.items():
            starts = starts_of(config, task, len(recorded) // 2)
            played = rollout(pool, [*starts, *starts], task, Recorded(recorded))
            expert = expert_rollout(config, starts, task, workers=1)
            found |= {f"{task} success": played.success, f"{task} steps": played.steps}
            found |= {f"{task} expert success": expert.success, f"{task} expert steps": expert.steps}
    return found


def row_of(task: str, official: Arrays, ours: Arrays) -> dict[str, Any]:
    """One line of the report."""
    row: dict[str, Any] = {"task": task}
    for kind, words in (("", "recorded actions"), ("expert ", "expert")):
        success, steps = f"{task} {kind}success", f"{task} {kind}steps"
        episodes = len(official[success])
        row[f"{words}: solved in calvin_env"] = f"{official[success].sum()} of {episodes}"
        row[f"{words}: in ours"] = f"{ours[success].sum()} of {episodes}"
        row[f"{words}: verdicts, steps that differ"] = (
            f"{(official[success] != ours[success]).sum()}, {(official[steps] != ours[steps]).sum()}"
        )
    return row


def report(arguments: argparse.Namespace) -> str:
    """Evaluate on both sides and write it down."""
    shared = {"calvin_env": absolute(arguments.calvin_env), "assets": absolute(arguments.assets)}
    ours = configs(arguments.calvin_env, arguments.assets)[1]
    actions = {
        task: recorded_actions(ours, starts_of(ours, task, arguments.starts), task) for task in TASK_NAMES
    }
    with tempfile.TemporaryDirectory() as name:
        plan = Path(name) / "actions.npz"
        np.savez(plan, **dict[str, Any](actions))
        jobs = {side: {**shared, "kind": "evaluation", "side": side, "plan": str(plan)} for side in SIDES}
        found = {side: fresh(job, Path(name), "parity_evaluation") for side, job in jobs.items()}
    rows = [row_of(task, found["backend"], found["ours"]) for task in TASK_NAMES]
    return "\n".join([*header(arguments), table_text(rows), ""])


def header(arguments: argparse.Namespace) -> list[str]:
    """Title and what was run."""
    return [
        f"# The same evaluation in calvin_env and in our simulator, {datetime.date.today().isoformat()}",
        "",
        f"{arguments.starts} starts of each of {len(TASK_NAMES)} tasks, at most {MAX_STEPS} control steps, "
        "success after any of them, judged by CALVIN's own task oracle there and by ours here. Recorded "
        "actions: those of the scripted expert from each start and, from the same start, those of a stroke "
        "that stops before success; made in our simulator, no feedback. Expert: in closed loop in each "
        "simulator. One fresh process per simulator; nothing is drawn. "
        f"Command: `python -m benchmarks parity_evaluation {Path(arguments.calvin_env).name} "
        f"--starts {arguments.starts}`.",
        "",
    ]


def work(job: Mapping[str, Any]) -> Arrays:
    """What one process measures."""
    official, ours = configs(job["calvin_env"], job["assets"])
    with np.load(job["plan"]) as actions:
        return evaluated(official if job["side"] == "backend" else ours, dict(actions))


if __name__ == "__main__":
    command_line(__doc__ or "", work, report, name="parity-evaluation", starts=3)
