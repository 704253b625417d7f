"""Does imagination promise what the simulator keeps? The same policy from the same starts in both.

The starts are the selection starts, and scenes that PPO practises from; never held-out ones. Besides the
judge, which rewards PPO, linear probes read from the latent state whether an imagined episode solved the
task. That tells two ways to be wrong apart: imagined minus probed is what the judge sees though the state
does not show it, probed minus real is what the dynamics complete by themselves.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from wam.diagnostics.config import CalibrationConfig
from wam.diagnostics.quantities import CM, SCENE
from wam.diagnostics.ridge import LinearProbes
from wam.evaluation.agent import Sampler
from wam.evaluation.rollout import RolloutResult
from wam.evaluation.success import wilson_interval
from wam.rl.imagined_env import ImaginedEnv
from wam.seeding import numpy_generator
from wam.tasks.predicates import succeeded
from wam.tasks.starts import Start
from wam.tasks.table import task as task_called

logger = logging.getLogger(__name__)

IMAGINED, REAL = "imagined", "real"
SELECTION, PRACTICE = "selection", "practice"
"""Whence a start is: a frame of held-out play, or drawn as those that imagination begins at."""
CHANCE_DRAWS: Final = 4000
"""Draws behind the gap that chance alone makes."""
ROW_COLUMNS: Final = ("task", "world", "role", "start", "repeat", "success", "steps", "probed")
TASK_COLUMNS: Final = (
    *("task", "starts", "imagined_episodes", "real", "imagined", "probed", "gap", "low", "high"),
)


@dataclass(frozen=True)
class ImaginedEpisodes:
    """What a policy's imagined episodes came to.

    Attributes:
        start: ``(n,)`` long, start of each episode.
        success: ``(n,)`` bool, whether the judge was satisfied.
        steps: ``(n,)`` int64, control steps to the end of the decision in which it was, or all of them.
        start_feat: ``(n, F)``, features that the episodes began with.
        final_feat: ``(n, F)``, features that they ended with.
    """

    start: NDArray[np.int64]
    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    start_feat: NDArray[np.float32]
    final_feat: NDArray[np.float32]


@torch.no_grad()
def imagine_episodes(
    env: ImaginedEnv, policy: Sampler, start: NDArray[np.int64], *, generator: torch.Generator
) -> ImaginedEpisodes:
    """One imagined episode of each environment, the policy acting as it does in evaluation.

    Args:
        env: As many environments as episodes.
        policy: In evaluation mode; sees what the environments show.
        start: Start state of each.
        generator: Of the denoising noise.
    """
    cond, _ = env.reset(options={"rows": torch.from_numpy(start).to(env.start_states.deter.device)})
    first = last = env.start_feat
    running = torch.ones(len(cond), dtype=torch.bool, device=cond.device)
    success = ~running
    decisions = torch.zeros(len(cond), dtype=torch.long, device=cond.device)
    for _ in range(env.decisions):
        chunk = policy.sample(cond, generator=generator, deterministic=True)
        cond, _, terminated, truncated, _ = env.step(chunk[:, : env.act_steps])
        decisions += running
        last = torch.where(running[:, None], env.final_feat, last)
        success |= running & terminated
        running &= ~(terminated | truncated)
    return ImaginedEpisodes(
        start,
        success.cpu().numpy(),
        env.act_steps * decisions.cpu().numpy(),
        first.float().cpu().numpy(),
        last.float().cpu().numpy(),
    )


def solved_by_probes(
    probes: LinearProbes, episodes: ImaginedEpisodes, starts: Sequence[Start], task: str
) -> NDArray[np.bool_]:
    """Whether the probes' readings of the last features, compared with the start's, solve the task, ``(n,)``.

    Joints are compared reading with reading, so that a constant error cancels; a light with its true state at
    the start.
    """
    what = task_called(task)
    place = probes.names.index(SCENE[what.quantity].name)
    unit = 1.0 if what.is_light else CM
    before = np.stack([starts[row].scene_state for row in episodes.start])
    after = before.copy()
    if not what.is_light:
        before[:, what.quantity] = probes.read(episodes.start_feat)[:, place] / unit
    after[:, what.quantity] = probes.read(episodes.final_feat)[:, place] / unit
    return succeeded(what, before, after)


def episode_rows(
    imagined: ImaginedEpisodes,
    probed: NDArray[np.bool_],
    real: RolloutResult,
    task: str,
    *,
    role: str = SELECTION,
    first: int = 0,
) -> pd.DataFrame:
    """One row an episode, imagined and real: columns ``ROW_COLUMNS``; reality needs no probe.

    Args:
        imagined: Episodes in imagination.
        probed: Of each, whether the probes say that it solved the task.
        real: Those in the simulator, one from each start.
        task: The task.
        role: Whence the starts are.
        first: Number of the first start, apart from those of another role.
    """
    repeat = pd.Series(imagined.start).groupby(imagined.start).cumcount().to_numpy()
    columns = {"start": imagined.start, "repeat": repeat}
    dreamt = pd.DataFrame({**columns, "success": imagined.success, "steps": imagined.steps, "probed": probed})
    truth = pd.DataFrame(
        {"start": np.arange(len(real.success)), "repeat": 0, "success": real.success, "steps": real.steps}
    )
    parts = [dreamt.assign(world=IMAGINED), truth.assign(world=REAL, probed=real.success)]
    rows = pd.concat(parts, ignore_index=True).assign(task=task, role=role)
    return rows.assign(start=rows["start"] + first)[list(ROW_COLUMNS)]


def calibration_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Imagined beside real success by task.

    Args:
        rows: Of :func:`episode_rows`, of any number of tasks.

    Returns:
        One row a task with columns ``TASK_COLUMNS``; rates in [0, 1], ``gap`` is imagined minus real,
        ``low`` and ``high`` its 95 % interval (Wilson intervals put together; the repeats of a start count
        as one trial, since they share what the start makes easy or hard).
    """
    lines = []
    for task, group in rows.groupby("task", sort=False):
        real, imagined = (group[group["world"] == world] for world in (REAL, IMAGINED))
        starts = real["start"].nunique()
        rates = float(imagined["success"].mean()), float(real["success"].mean())
        gap, low, high = gap_interval(*rates, starts)
        probed = float(imagined["probed"].mean())
        lines.append((task, starts, len(imagined), rates[1], rates[0], probed, gap, low, high))
    return pd.DataFrame(lines, columns=list(TASK_COLUMNS))


def gap_interval(imagined: float, real: float, starts: int) -> tuple[float, float, float]:
    """Difference of two rates from ``starts`` trials each, with its 95 % interval (Newcombe 1998, method 10).

    Unlike a bootstrap it has a width where all episodes ended alike.
    """
    low_i, high_i = wilson_interval(imagined * starts, starts)
    low_r, high_r = wilson_interval(real * starts, starts)
    gap = imagined - real
    below = float(np.hypot(imagined - low_i, high_r - real))
    above = float(np.hypot(high_i - imagined, real - low_r))
    return gap, max(-1.0, gap - below), min(1.0, gap + above)


def summarise(table: pd.DataFrame, *, max_gap: float, seed: int) -> dict[str, float]:
    """What the tasks say together.

    Args:
        table: Of :func:`calibration_table`.
        max_gap: Largest mean absolute gap that PPO may rest on, as a share.
        seed: Of the draws behind ``chance_gap``.

    Returns:
        ``mean_absolute_gap``, ``mean_gap`` with ``mean_gap_low`` and ``_high``, ``chance_gap`` (the mean
        absolute gap that a perfectly calibrated imagination would show with so few episodes),
        ``max_gap`` and ``trusted`` (1 or 0).
    """
    gap = table["gap"].to_numpy(np.float64)
    below, above = (float(np.sqrt(((table[bound] - gap) ** 2).sum())) / len(gap) for bound in ("low", "high"))
    mean, absolute = float(gap.mean()), float(np.abs(gap).mean())
    return {
        "mean_absolute_gap": absolute,
        "mean_gap": mean,
        "mean_gap_low": max(-1.0, mean - below),
        "mean_gap_high": min(1.0, mean + above),
        "chance_gap": chance_gap(table, seed=seed),
        "max_gap": max_gap,
        "trusted": float(absolute <= max_gap),
    }


def chance_gap(table: pd.DataFrame, *, seed: int) -> float:
    """Mean absolute gap of a perfectly calibrated imagination: both worlds drawn from their mean rate."""
    rng = numpy_generator(seed, "chance_gap")
    rate = ((table["real"] + table["imagined"]) / 2).to_numpy(np.float64)
    drawn = [
        rng.binomial(trials, rate, size=(CHANCE_DRAWS, len(rate))) / trials
        for trials in (table["imagined_episodes"].to_numpy(), table["starts"].to_numpy())
    ]
    return float(np.abs(drawn[0] - drawn[1]).mean())


def solved_by_step(rows: pd.DataFrame, every: int = 1) -> pd.DataFrame:
    """Share of episodes solved within so many control steps.

    Args:
        rows: Of :func:`episode_rows`.
        every: Control steps between points.

    Returns:
        Columns task, world, step (from 0), rate.
    """
    grid = np.arange(0, int(rows["steps"].max()) + every, every)
    lines = []
    for (task, world), group in rows.groupby(["task", "world"], sort=False):
        steps = np.where(group["success"], group["steps"], np.inf)
        rate = (steps[None] <= grid[:, None]).mean(axis=1)
        lines.append(pd.DataFrame({"task": task, "world": world, "step": grid, "rate": rate}))
    return pd.concat(lines, ignore_index=True)


def doubt(gap: float, low: float, high: float, max_gap: float) -> str | None:
    """What speaks against PPO in this task's imagination, or None where the gap may be within the limit.

    Args:
        gap: Imagined minus real success.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        max_gap: Limit, as a share.
    """
    if low <= max_gap and high >= -max_gap:
        return None
    direction, means = (
        ("more", "PPO in it cannot be trusted") if gap > 0 else ("less", "what fails in it may succeed")
    )
    return (
        f"imagination promises {100 * abs(gap):.0f} points {direction} success than the simulator keeps "
        f"(95 % interval {100 * low:+.0f} to {100 * high:+.0f}, limit {100 * max_gap:.0f}): {means}"
    )


class UncalibratedError(ValueError):
    """Imagination promises what the simulator does not keep, and the configuration stops PPO there."""


def heed(calibration: pd.DataFrame, gate: CalibrationConfig, task: str) -> dict[str, float]:
    """Say, or refuse to go on, where imagination cannot be trusted beyond doubt.

    Args:
        calibration: Imagined and real episodes of the cloned policy; empty without selection starts.
        gate: Limit, and what follows.
        task: The task.

    Returns:
        ``calibration_doubted``, 1 or 0; nothing where nothing was measured.

    Raises:
        UncalibratedError: If the page says so.
    """
    if calibration.empty:
        logger.warning("PPO of %s: without selection starts nothing says whether imagination is true", task)
        return {}
    line = calibration_table(calibration).iloc[0]
    reason = doubt(line["gap"], line["low"], line["high"], gate.max_gap)
    if reason and gate.beyond == "stop":
        raise UncalibratedError(
            f"PPO of {task}: {reason}. Improve world model or judge (the report's section on why a "
            "policy fails says which), raise calibration.max_gap, or set calibration.beyond to warn"
        )
    if reason:
        logger.warning("PPO of %s: %s", task, reason)
    return {"calibration_doubted": float(reason is not None)}
