"""Refine a cloned policy in the simulator, evaluate it, and set it beside imagination."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from wam.evaluation.pools import borrowed_pool
from wam.pipelines.evaluation.nodes import evaluate_checkpoints
from wam.pipelines.grid import TASKS, WORLD_MODELS
from wam.pipelines.history import Metrics
from wam.pipelines.pages import (
    ComputeConfig,
    EvaluationConfig,
    ImaginationStartsConfig,
    ReportConfig,
    TaskRow,
)
from wam.pipelines.ppo.choice import simulator_evaluator
from wam.pipelines.practice_scenes import imagination_scenes
from wam.pipelines.refinement import curves_and_figures, frozen_and_cloned
from wam.pipelines.reporting.nodes import ancestry, facts
from wam.policy.diffusion import DiffusionPolicy
from wam.report.online import Online, online_lines, online_markdown, online_page
from wam.rl.config import OnlineConfig, PPOConfig
from wam.rl.finetune import finetune
from wam.rl.simulated_practice import Simulation
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.training.checkpoint import Checkpoint
from wam.world_model.model import WorldModel

CELLS: Final = tuple((name, task) for name in WORLD_MODELS for task in TASKS)
"""World model and task of each table that the page is made of."""
COMPARED: Final = ("cloned", "finetuned")
"""Policies that the one refined in the simulator is set beside."""


def finetune_online(
    world_model: Checkpoint,
    cloned_policy: Checkpoint,
    starts: pd.DataFrame,
    task: TaskRow,
    online: OnlineConfig,
    ppo: PPOConfig,
    scenes: ImaginationStartsConfig,
    evaluation: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
    work_dir: Path,
) -> tuple[Checkpoint, pd.DataFrame, Metrics]:
    """PPO in the simulator from the scenes imagination starts from; the last policy, curves and figures."""
    config = online.applied(ppo)
    config = replace(config, iterations=compute.limited(config.iterations))
    model, policy = frozen_and_cloned(world_model, cloned_policy, compute)
    act_steps = policy.config.act_steps
    with borrowed_pool(simulator, workers=compute.pool_workers) as pool:
        practice = _practice(pool, model, policy, task.name, scenes, evaluation, simulator)
        result = finetune(
            policy,
            practice,
            config,
            seed=seed,
            evaluate=simulator_evaluator(pool, starts, task.name, model, act_steps, evaluation, seed),
            work_dir=work_dir,
            description=f"PPO in the simulator, {task.name}",
            capture=compute.capture,
        )
    spent = result.history[-1]["real_steps"]
    measured = ("first_success", "real_success")
    table, metrics = curves_and_figures(result, measured, stage="online", task=task.name, real_steps=spent)
    return result.last.to_checkpoint(), table, metrics


def _practice(
    pool: SimPool,
    model: WorldModel,
    policy: DiffusionPolicy,
    task: str,
    scenes: ImaginationStartsConfig,
    evaluation: EvaluationConfig,
    simulator: SimConfig,
) -> Simulation:
    """The simulator from the task's scenes that imagination starts from, of what the policy sees."""
    return Simulation(
        pool=pool,
        simulator=simulator,
        starts=imagination_scenes(simulator, scenes, task),
        task=task,
        world_model=model,
        start_repeats=evaluation.start_repeats,
        sees=policy.sees,
        prev_action=evaluation.prev_action,
    )


def evaluate_online(
    world_model: Checkpoint,
    online_policy: Checkpoint,
    starts: pd.DataFrame,
    task: TaskRow,
    config: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, Metrics]:
    """The last policy from every held-out start, once."""
    rows, metrics, _ = evaluate_checkpoints(
        world_model,
        {"online": online_policy},
        starts,
        task,
        replace(config, videos=0),
        simulator,
        compute,
        seed,
    )
    return rows, metrics


def trace_online(
    online_curves: pd.DataFrame,
    ppo_curves: pd.DataFrame,
    evaluation: pd.DataFrame,
    online_evaluation: pd.DataFrame,
    starts: pd.DataFrame,
    task: TaskRow,
    online: OnlineConfig,
    config: EvaluationConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Success by real steps, of practice and from selection starts; held-out episodes of all three policies.

    The first table has columns task, policy, starts, iteration, real_steps, rate, trials. What a policy did
    in an iteration's practice stands at the steps that it had learned from by then. Without selection starts
    there is practice alone: what was measured on the test starts while learning is no fair curve.
    """
    wide = online_curves.pivot_table(index="step", columns="name", values="value").sort_index()
    steps = wide["real_steps"].reindex(range(int(wide.index.max()) + 1)).fillna(0.0)
    parts = [_points(task.name, "online", "practice", wide["first_success"], steps.shift(1), online.envs)]
    if config.checkpoints_on == "selection":
        trials = int(((starts["task"] == task.name) & (starts["role"] == "selection")).sum())
        parts.append(_points(task.name, "online", "selection", wide.get("real_success"), steps, trials))
        imagined = ppo_curves[ppo_curves["name"] == "real_success"].set_index("step")["value"].sort_index()
        for policy, end in zip(COMPARED, (imagined.iloc[:1], imagined.iloc[-1:]), strict=True):
            nothing = pd.Series(0.0, end.index)
            parts.append(_points(task.name, policy, "selection", end, nothing, trials))
    rows = pd.concat([evaluation[evaluation["policy"].isin(COMPARED)], online_evaluation], ignore_index=True)
    return pd.concat([part for part in parts if len(part)], ignore_index=True), rows


def _points(
    task: str, policy: str, starts: str, rate: pd.Series | None, real_steps: pd.Series, trials: int
) -> pd.DataFrame:
    if rate is None:
        return pd.DataFrame()
    known = rate.dropna()
    return pd.DataFrame(
        {
            "task": task,
            "policy": policy,
            "starts": starts,
            "iteration": known.index.astype(int),
            "real_steps": real_steps.reindex(known.index).to_numpy(),
            "rate": known.to_numpy(),
            "trials": trials,
        }
    )


def compare_online(
    lineage: Mapping[str, Any], report: ReportConfig, seed: int, *tables: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame, str, str]:
    """Points of all cells that were run, one line a cell, and both as a page and as Markdown."""
    found = [
        [
            table.assign(world_model=name)
            for (name, _), table in zip(CELLS, part, strict=True)
            if table is not None
        ]
        for part in (tables[: len(CELLS)], tables[len(CELLS) :])
    ]
    if not found[0]:
        raise ValueError("no cell was refined in the simulator yet; run `kedro run --pipelines online` whole")
    points, rows = (pd.concat(part, ignore_index=True) for part in found)
    online = Online(
        facts=facts(rows, seed, lineage),
        points=points,
        lines=online_lines(points, rows, seed=report.bootstrap_seed),
        ancestry=ancestry(lineage),
    )
    return online.points, online.lines, online_markdown(online), online_page(online)
