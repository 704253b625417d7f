"""Refine a cloned policy in imagination."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.datasets import Arrays
from wam.diagnostics.calibration import heed
from wam.diagnostics.config import CalibrationConfig
from wam.episodes.resize import resize_images
from wam.evaluation.pools import borrowed_pool
from wam.parallel.progress import progress
from wam.pipelines.history import Metrics
from wam.pipelines.pages import (
    ComputeConfig,
    EvaluationConfig,
    ImaginationStartsConfig,
    RewardsConfig,
    TaskRow,
)
from wam.pipelines.ppo.choice import checkpoint_evaluator
from wam.pipelines.practice_scenes import imagination_scenes
from wam.pipelines.refinement import curves_and_figures, frozen_and_cloned
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.judge import Judge, judge_of
from wam.rl.config import PPOConfig
from wam.rl.finetune import EVALUATED, finetune
from wam.rl.imagined_practice import Imagination
from wam.seeding import torch_generator
from wam.sight.frame_filter import first_state
from wam.sim.config import SimConfig
from wam.sim.frames import SimFrames
from wam.tasks.table import TASK_NAMES
from wam.training.checkpoint import Checkpoint
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState

MEASURED: Final = ("imagined_success", *EVALUATED.values())
"""Quantities whose first and last value are final figures."""
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
    model, policy = frozen_and_cloned(world_model, cloned_policy, compute)
    judge = judge_of(rewards.judge, task.name, classifier=reward_classifier, readout=scene_readout)
    practice = _practice(model, policy, judge, imagination_starts, task.name, evaluation, compute, seed)
    with checkpoint_evaluator(
        practice, model, policy, starts, calibration, task.name, config, evaluation, simulator, compute, seed
    ) as evaluate:
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
    chosen = {"selected_iteration": result.selected_iteration}
    table, metrics = curves_and_figures(result, MEASURED, stage="ppo", task=task.name, **chosen)
    return result.last.to_checkpoint(), result.selected.to_checkpoint(), table, metrics | doubted


def _practice(
    model: WorldModel,
    policy: DiffusionPolicy,
    judge: Judge,
    scenes: Arrays,
    task: str,
    evaluation: EvaluationConfig,
    compute: ComputeConfig,
    seed: int,
) -> Imagination:
    """Imagination from the task's scenes, of what the policy sees."""
    start_states = encode_starts(model, scenes, task, evaluation.start_repeats, seed)
    return Imagination(model, judge.to(model.device), start_states, policy.sees, capture=compute.capture)


def encode_starts(model: WorldModel, scenes: Arrays, task: str, repeats: int, seed: int) -> RSSMState:
    """Latent states of a task's scenes, each first frame seen ``repeats`` times."""
    rows = scenes.rows_where("task", [TASK_NAMES.index(task)])
    frames = SimFrames(rows["image_static"], rows["image_gripper"], rows["robot_obs"], rows["scene_state"])
    generator = torch_generator(seed, "imagination_starts", task, device=model.device)
    return first_state(model, frames, start_repeats=repeats, generator=generator)
