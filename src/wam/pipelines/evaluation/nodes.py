"""Closed-loop success from held-out starts, and the gathering of what cells produced."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from wam.datasets import NamedFiles
from wam.episodes.statistics import ProprioStatistics
from wam.evaluation.agent import RandomAgent, WorldModelAgent
from wam.evaluation.baselines import expert_rollout, make_control_agent
from wam.evaluation.pools import borrowed_pool
from wam.evaluation.rollout import RolloutResult, rollout
from wam.evaluation.success import evaluation_rows
from wam.evaluation.video import clip_bytes
from wam.pipelines.history import Metrics, metrics_table
from wam.pipelines.pages import ComputeConfig, ControlRow, EvaluationConfig, TaskRow
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.load import Policy, behavior_digest, policy_from_checkpoint
from wam.sim.config import SimConfig
from wam.tasks.selection import starts_from_table
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device
from wam.world_model.model import WorldModel


def evaluate_policies(
    world_model: Checkpoint,
    cloned_policy: Checkpoint,
    raw_policy: Checkpoint,
    finetuned_policy: Checkpoint,
    selected_policy: Checkpoint,
    starts: pd.DataFrame,
    task: TaskRow,
    config: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, Metrics, dict[str, bytes]]:
    """Every policy of a cell from every held-out start; rows, rates, clips."""
    cloned = raw_policy if config.cloned_weights == "raw" else cloned_policy
    checkpoints = {"cloned": cloned, "finetuned": finetuned_policy, "selected": selected_policy}
    return evaluate_checkpoints(world_model, checkpoints, starts, task, config, simulator, compute, seed)


def evaluate_cloned(
    world_model: Checkpoint,
    cloned_policy: Checkpoint,
    raw_policy: Checkpoint,
    starts: pd.DataFrame,
    task: TaskRow,
    config: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, Metrics, dict[str, bytes]]:
    """The same for a cell whose policy is not refined."""
    checkpoints = {"cloned": raw_policy if config.cloned_weights == "raw" else cloned_policy}
    return evaluate_checkpoints(world_model, checkpoints, starts, task, config, simulator, compute, seed)


def evaluate_checkpoints(
    world_model: Checkpoint,
    checkpoints: Mapping[str, Checkpoint],
    starts: pd.DataFrame,
    task: TaskRow,
    config: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, Metrics, dict[str, bytes]]:
    """Policies by name from every held-out start, each behaviour once; rows, rates, clips."""
    device = resolve_device(compute.device)
    model = WorldModel.from_checkpoint(world_model).to(device).eval()
    held_out = starts_from_table(starts, task.name, "test")
    policies = {name: policy_from_checkpoint(checkpoint).eval() for name, checkpoint in checkpoints.items()}
    with borrowed_pool(simulator, workers=compute.pool_workers) as pool:

        def roll(name: str, policy: Policy) -> RolloutResult:
            agent = WorldModelAgent(
                model,
                policy.to(device),
                act_steps=policy.config.act_steps,
                start_repeats=config.start_repeats,
                seed=seed,
                prev_action=config.prev_action,
            )
            return rollout(
                pool,
                held_out,
                task.name,
                agent,
                max_steps=config.max_steps,
                record=range(min(config.videos, len(held_out))),
                description=f"{task.name}, {name}",
            )

        results, repeated = each_behavior_once(policies, roll)
    rows, metrics = rows_and_rates(results, task.name)
    return rows, metrics | repeated, clips(results, task.name)


def each_behavior_once(
    policies: Mapping[str, Policy], roll: Callable[[str, Policy], RolloutResult]
) -> tuple[dict[str, RolloutResult], dict[str, float]]:
    """Rollouts of every policy; one that acts like an earlier one takes on its result.

    Starts and seeds are the same for all, so another rollout would repeat the first to the bit. The selected
    checkpoint often is the last one, or the policy that fine-tuning began with.

    Args:
        policies: By name, in the order in which they are rolled out.
        roll: Rolls one out.

    Returns:
        Results by name, and ``{name}_is_{earlier}``: 1 for every result that was taken on.
    """
    first: dict[str, str] = {}
    results: dict[str, RolloutResult] = {}
    repeated: dict[str, float] = {}
    for name, policy in policies.items():
        earlier = first.setdefault(behavior_digest(policy), name)
        if earlier == name:
            results[name] = roll(name, policy)
        else:
            results[name] = results[earlier]
            repeated[f"{name}_is_{earlier}"] = 1.0
    return results, repeated


def evaluate_control(
    cloned_policy: Checkpoint,
    raw_policy: Checkpoint,
    starts: pd.DataFrame,
    proprio_statistics: Mapping[str, Any],
    control: ControlRow,
    task: TaskRow,
    config: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, Metrics]:
    """A policy that sees no features, from the same held-out starts."""
    held_out = starts_from_table(starts, task.name, "test")
    cloned = raw_policy if config.cloned_weights == "raw" else cloned_policy
    policy = DiffusionPolicy.from_checkpoint(cloned).eval()
    agent = make_control_agent(
        control.sees,
        policy,
        held_out,
        ProprioStatistics.from_dict(proprio_statistics),
        act_steps=policy.config.act_steps,
        seed=seed,
    )
    with borrowed_pool(simulator, workers=compute.pool_workers) as pool:
        result = rollout(pool, held_out, task.name, agent, max_steps=config.max_steps, description=task.name)
    return rows_and_rates({"cloned": result}, task.name)


def evaluate_expert(
    starts: pd.DataFrame,
    task: TaskRow,
    config: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
) -> tuple[pd.DataFrame, Metrics]:
    """The scripted expert, which knows where everything is, from the same held-out starts."""
    result = expert_rollout(
        simulator,
        starts_from_table(starts, task.name, "test"),
        task.name,
        workers=compute.processes,
        max_steps=config.max_steps,
    )
    return rows_and_rates({"expert": result}, task.name)


def evaluate_random(
    starts: pd.DataFrame,
    task: TaskRow,
    config: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, Metrics]:
    """Uniformly random actions from the same held-out starts."""
    agent = RandomAgent(act_steps=RANDOM_ACT_STEPS, seed=seed)
    held_out = starts_from_table(starts, task.name, "test")
    with borrowed_pool(simulator, workers=compute.pool_workers) as pool:
        result = rollout(pool, held_out, task.name, agent, max_steps=config.max_steps, description=task.name)
    return rows_and_rates({"random": result}, task.name)


RANDOM_ACT_STEPS = 4
"""Control steps that one random draw is held, as long as a policy's chunk."""


def rows_and_rates(results: Mapping[str, RolloutResult], task: str) -> tuple[pd.DataFrame, Metrics]:
    """One row an episode, and the success rate of each policy."""
    rows = [evaluation_rows(result, task=task, policy=name) for name, result in results.items()]
    rates = {f"{name}_success": result.success_rate for name, result in results.items()}
    return pd.concat(rows, ignore_index=True), {"stage": "evaluation", "task": task, **rates}


def clips(results: Mapping[str, RolloutResult], task: str) -> dict[str, bytes]:
    """Recorded episodes as animations, by a file name that says what they show."""
    files = {}
    for name, result in results.items():
        for start, frames in result.videos.items():
            success = bool(result.success[start])
            label = f"{task} {name} start {start}"
            outcome = "success" if success else "failure"
            files[f"{task}-{name}-{start:02d}-{outcome}.webp"] = clip_bytes(
                frames,
                success=success,
                label=label,
            )
    return files


def collect_results(*tables: pd.DataFrame) -> pd.DataFrame:
    """Evaluation rows of all tasks."""
    return pd.concat(tables, ignore_index=True)


def collect_curves(*tables: pd.DataFrame) -> pd.DataFrame:
    """Curves of all tasks and stages."""
    return pd.concat(tables, ignore_index=True)


def collect_metrics(*metrics: Metrics) -> pd.DataFrame:
    """Final figures of all tasks and stages as a long table."""
    return metrics_table(metrics)


def collect_videos(*clips_of_tasks: NamedFiles) -> dict[str, bytes]:
    """Clips of all tasks."""
    return {name: content for files in clips_of_tasks for name, content in files.items()}
