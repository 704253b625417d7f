"""Refine a cloned policy in imagination."""

import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.datasets import Arrays
from wam.diagnostics.calibration import calibration_table, doubt
from wam.diagnostics.config import CalibrationConfig
from wam.episodes.resize import resize_images
from wam.evaluation.pools import borrowed_pool
from wam.parallel.progress import progress
from wam.pipelines.history import Metrics, curves
from wam.pipelines.pages import (
    ComputeConfig,
    EvaluationConfig,
    ImaginationStartsConfig,
    RewardsConfig,
    TaskRow,
)
from wam.pipelines.ppo.choice import imagination_evaluator, simulator_evaluator, with_known_result
from wam.pipelines.practice_scenes import imagination_scenes
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.judge import judge_of
from wam.rl.config import PPOConfig
from wam.rl.finetune import EVALUATED, Evaluator, finetune
from wam.rl.frame_filter import first_state
from wam.rl.imagined_practice import Imagination
from wam.seeding import torch_generator
from wam.sim.config import SimConfig
from wam.sim.frames import SimFrames
from wam.tasks.table import TASK_NAMES
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState

logger = logging.getLogger(__name__)

SCENES_AT_ONCE = 25
"""Tables that are open at a time while scenes are rendered; bounds memory."""


def render_imagination_starts(
    simulator: SimConfig, config: ImaginationStartsConfig, compute: ComputeConfig
) -> dict[str, NDArray[Any]]:
    """Random scenes in which each task is possible, rendered once for all world models."""
    blocks: list[dict[str, NDArray[Any]]] = []
    scenes = len(TASK_NAMES) * config.scenes
    with (
        borrowed_pool(simulator, workers=compute.pool_workers) as pool,
        progress(scenes, "imagination starts", "scene") as bar,
    ):
        for number, task in enumerate(TASK_NAMES):
            starts = imagination_scenes(simulator, config, task)
            for first in range(0, len(starts), SCENES_AT_ONCE):
                frames = pool.reset(starts[first : first + SCENES_AT_ONCE], render=True)
                assert frames.image_static is not None, "scenes are rendered"
                assert frames.image_gripper is not None, "by both cameras"
                blocks.append(
                    {
                        "task": np.full(len(frames), number),
                        "image_static": resize_images(frames.image_static),
                        "image_gripper": resize_images(frames.image_gripper),
                        "robot_obs": frames.robot_obs,
                        "scene_state": frames.scene_state,
                    }
                )
                bar.update(len(frames))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def finetune_policy(
    world_model: Checkpoint,
    cloned_policy: Checkpoint,
    reward_classifier: Checkpoint,
    scene_readout: Checkpoint,
    imagination_starts: Arrays,
    starts: pd.DataFrame,
    calibration: pd.DataFrame,
    task: TaskRow,
    gate: CalibrationConfig,
    config: PPOConfig,
    evaluation: EvaluationConfig,
    rewards: RewardsConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
    work_dir: Path,
) -> tuple[Checkpoint, Checkpoint, pd.DataFrame, Metrics]:
    """PPO from random scenes; returns the last policy, the one selected, curves and final figures."""
    doubted = heed(calibration, gate, task.name)
    config = replace(config, iterations=compute.limited(task.ppo_iterations or config.iterations))
    device = resolve_device(compute.device)
    model = WorldModel.from_checkpoint(world_model).to(device).eval().requires_grad_(requires_grad=False)
    policy = DiffusionPolicy.from_checkpoint(cloned_policy).to(device)
    judge = judge_of(rewards.judge, task.name, classifier=reward_classifier, readout=scene_readout)
    practice = Imagination(
        model,
        judge.to(device),
        encode_starts(model, imagination_starts, task.name, evaluation.start_repeats, seed),
        policy.sees,
        capture=compute.capture,
    )
    act_steps = policy.config.act_steps
    with ExitStack() as stack:
        if config.chosen_in == "imagination":
            evaluate: Evaluator | None = imagination_evaluator(practice, config, act_steps, seed=seed)
        else:
            pool = stack.enter_context(borrowed_pool(simulator, workers=compute.pool_workers))
            evaluate = simulator_evaluator(pool, starts, task.name, model, act_steps, evaluation, seed)
            if evaluate is not None and evaluation.checkpoints_on == "selection":
                evaluate = with_known_result(evaluate, policy, calibration)
        result = finetune(
            policy,
            practice,
            config,
            seed=seed,
            evaluate=evaluate,
            work_dir=work_dir,
            description=f"PPO {task.name}",
            capture=compute.capture,
        )
    table = curves(result.history, step="iteration", stage="ppo", task=task.name)
    metrics = {"stage": "ppo", "task": task.name, "selected_iteration": result.selected_iteration}
    metrics |= first_and_last(result.history, "imagined_success", *EVALUATED.values()) | doubted
    return result.last.to_checkpoint(), result.selected.to_checkpoint(), table, metrics


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


def encode_starts(model: WorldModel, scenes: Arrays, task: str, repeats: int, seed: int) -> RSSMState:
    """Latent states of a task's scenes, each first frame seen ``repeats`` times."""
    rows = scenes.rows_where("task", [TASK_NAMES.index(task)])
    frames = SimFrames(rows["image_static"], rows["image_gripper"], rows["robot_obs"], rows["scene_state"])
    generator = torch_generator(seed, "imagination_starts", task, device=model.device)
    return first_state(model, frames, start_repeats=repeats, generator=generator)


def first_and_last(history: list[dict[str, float]], *names: str) -> dict[str, float]:
    """Quantities where each was measured first and last; nothing of one that never was."""
    figures: dict[str, float] = {}
    for name in names:
        values = [row[name] for row in history if name in row]
        if values:
            figures |= {f"{name}_first": values[0], f"{name}_last": values[-1]}
    return figures
