"""How one of the policies that PPO passes through is chosen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd

from wam.diagnostics.calibration import REAL, SELECTION, imagine_episodes
from wam.evaluation.pools import borrowed_pool
from wam.evaluation.rollout import make_evaluator
from wam.pipelines.pages import ComputeConfig, EvaluationConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.fine_tuned import FineTunedPolicy
from wam.policy.load import behavior_digest
from wam.rl.config import PPOConfig
from wam.rl.finetune import SUCCESS, Evaluator
from wam.rl.imagined_practice import Imagination
from wam.seeding import torch_generator
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.tasks.selection import starts_from_table
from wam.world_model.model import WorldModel


@contextmanager
def checkpoint_evaluator(
    practice: Imagination,
    model: WorldModel,
    policy: DiffusionPolicy,
    starts: pd.DataFrame,
    calibration: pd.DataFrame,
    task: str,
    config: PPOConfig,
    evaluation: EvaluationConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> Iterator[Evaluator | None]:
    """Runs policies where the page says they are chosen; holds simulators only for a choice in there."""
    act_steps = policy.config.act_steps
    if config.chosen_in == "imagination":
        yield imagination_evaluator(practice, config, act_steps, seed=seed)
        return
    with borrowed_pool(simulator, workers=compute.pool_workers) as pool:
        evaluate = simulator_evaluator(pool, starts, task, model, act_steps, evaluation, seed)
        if evaluate is not None and evaluation.checkpoints_on == "selection":
            evaluate = with_known_result(evaluate, policy, calibration)
        yield evaluate


def simulator_evaluator(
    pool: SimPool,
    starts: pd.DataFrame,
    task: str,
    model: WorldModel,
    act_steps: int,
    evaluation: EvaluationConfig,
    seed: int,
) -> Evaluator | None:
    """Runs policies from the starts on which checkpoints are chosen; None where the page names none."""
    if evaluation.checkpoints_on == "none":
        return None
    return make_evaluator(
        pool,
        starts_from_table(starts, task, evaluation.checkpoints_on),
        task,
        model,
        act_steps=act_steps,
        start_repeats=evaluation.start_repeats,
        seed=seed,
        max_steps=evaluation.max_steps,
        prev_action=evaluation.prev_action,
    )


def with_known_result(evaluate: Evaluator, cloned: DiffusionPolicy, calibration: pd.DataFrame) -> Evaluator:
    """An evaluator that knows the result of the unchanged policy: calibration ran it from the same starts."""
    real = calibration[calibration["world"] == REAL]
    real = real[real["role"] == SELECTION]
    digest = behavior_digest(cloned)

    def run(policy: FineTunedPolicy) -> Mapping[str, float]:
        if real.empty or behavior_digest(policy) != digest:
            return evaluate(policy)
        return {SUCCESS: float(real["success"].mean()), "steps": float(real["steps"].mean())}

    return run


def imagination_evaluator(
    practice: Imagination, config: PPOConfig, act_steps: int, *, seed: int
) -> Evaluator:
    """Imagines one episode from every scene that practice starts from, acting as in evaluation.

    Args:
        practice: Gives the scenes.
        config: How long episodes are, and how commands are followed there.
        act_steps: Actions executed per decision.
        seed: Of latent samples and denoising noise; the same in every call.
    """
    scenes = np.arange(practice.scenes)
    everywhere = replace(config, envs=len(scenes))

    def run(policy: FineTunedPolicy) -> Mapping[str, float]:
        env = practice.environment(everywhere, act_steps, seed=seed, iteration=0)
        generator = torch_generator(seed, "choice in imagination", device=env.start_states.deter.device)
        episodes = imagine_episodes(env, policy, scenes, generator=generator)
        return {SUCCESS: float(episodes.success.mean()), "steps": float(episodes.steps.mean())}

    return run
