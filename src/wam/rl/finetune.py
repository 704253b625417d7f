"""Fine-tuning of a cloned policy in imagination or in the simulator, up to the selected checkpoint."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from wam.contracts import config_to_dict
from wam.parallel.progress import progress as progress_bar
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.fine_tuned import FineTunedPolicy
from wam.rl.buffer import collect
from wam.rl.config import PPOConfig
from wam.rl.practice import Practice
from wam.rl.state import Progress, keep_progress, restore_progress
from wam.rl.update import Learner, make_learner
from wam.seeding import torch_generator
from wam.training.checkpoint import Checkpoint
from wam.training.metrics import publish

SUCCESS = "success"
"""Key of an evaluator's result that selects the checkpoint, in [0, 1]."""
EVALUATED: Final = {"simulator": "real_success", "imagination": "acting_success"}
"""Its name in the history, by where the policy is chosen: exploring it has the name of the practice."""

Evaluator = Callable[[FineTunedPolicy], Mapping[str, float]]
"""Runs a policy as it is used later, where it is chosen: ``success``, and other values to record."""


@dataclass(frozen=True)
class FinetuneResult:
    """What fine-tuning gives.

    Attributes:
        last: Policy after the last iteration.
        selected: Policy of the best evaluation, the earliest of equal ones, the unchanged policy included;
            ``last`` without an evaluator.
        selected_iteration: Iterations that policy had.
        history: One row per number of finished iterations, from 0: iteration; imagined_success, policy_loss,
            value_loss, bc_loss, approx_kl, clip_fraction, epochs (absent at 0); real_success, or
            acting_success where the policy is chosen in imagination, and the evaluator's other values (where
            evaluated). In the simulator simulated_success in place of imagined_success, first_success (of
            each environment's first episode) and real_steps, the control steps that all practice took so far.
    """

    last: FineTunedPolicy
    selected: FineTunedPolicy
    selected_iteration: int
    history: list[dict[str, float]]


def finetune(
    policy: DiffusionPolicy,
    practice: Practice,
    config: PPOConfig,
    *,
    seed: int,
    evaluate: Evaluator | None,
    work_dir: Path | None = None,
    description: str = "fine-tuning",
    capture: bool = True,
) -> FinetuneResult:
    """Practise, update, evaluate now and then; ``policy`` and all that ``practice`` holds stay as they are.

    Args:
        policy: Cloned policy, averaged weights.
        practice: Where episodes happen.
        config: Settings.
        seed: Seed of everything random here.
        evaluate: Called before training, after every ``eval_every`` iterations and after the last one.
        work_dir: Scratch folder; a killed run goes on from it, to the bit. A state of other settings or
            inputs in it is not used. None keeps nothing.
        description: Shown at the progress bar.
        capture: On a GPU, replay the denoising of what is explored as one graph.

    Raises:
        ValueError: On steps that do not fit together.
        FloatingPointError: If a loss is not finite.
    """
    config.decisions(policy.config.act_steps)  # refuses what does not fit before any work
    learner = make_learner(policy, config, seed, capture=capture)
    key = _run_key(policy, practice, config, seed=seed)
    state = Progress() if work_dir is None else restore_progress(work_dir, key, learner)
    if not state.history:
        state.history.append({"iteration": 0.0})
        _evaluate(state, learner, evaluate)
        _publish(state)
    with progress_bar(config.iterations, description, "iteration", initial=state.iteration) as bar:
        while state.iteration < config.iterations:
            number = state.iteration + 1
            spent = state.history[-1].get("real_steps", 0.0)
            row = _iterate(learner, practice, seed=seed, iteration=number, spent=spent)
            state.iteration = number
            state.history.append({"iteration": float(number)} | row)
            last = number == config.iterations
            if last or number % config.eval_every == 0:
                _evaluate(state, learner, evaluate)
            _publish(state)
            if work_dir is not None and (last or number % config.checkpoint_every == 0):
                keep_progress(work_dir, key, learner, state)
            bar.set_postfix_str(f"{practice.name} success {row[f'{practice.name}_success']:.2f}")
            bar.update(1)
    return _result(state, learner)


def _iterate(
    learner: Learner, practice: Practice, *, seed: int, iteration: int, spent: float
) -> dict[str, float]:
    """One round of practice and updating; returns its row. ``spent``: real steps of the rounds before."""
    act_steps = learner.actor.config.act_steps
    env = practice.environment(learner.config, act_steps, seed=seed, iteration=iteration)
    generator = torch_generator(seed, "denoising", iteration)
    rollouts = collect(
        env,
        learner.explore,
        decisions=learner.config.decisions(act_steps),
        generator=generator,
    )
    row = {f"{practice.name}_success": rollouts.success}
    if env.real_steps:
        row |= {"first_success": rollouts.first_success, "real_steps": spent + env.real_steps}
    train_actor = iteration > learner.config.critic_warmup_iterations
    try:
        metrics = learner.update(rollouts, generator, train_actor=train_actor)
    except FloatingPointError as error:
        raise FloatingPointError(f"fine-tuning, iteration {iteration}: {error}") from error
    return row | metrics


def _evaluate(state: Progress, learner: Learner, evaluate: Evaluator | None) -> None:
    """Add an evaluation's figures to the newest row and keep the actor if it is the best so far."""
    if evaluate is None:
        return
    figures = dict(evaluate(_policy(learner, learner.actor.state_dict())))
    if SUCCESS not in figures:
        raise ValueError(
            f"the evaluator returned {sorted(figures)} without {SUCCESS!r}; it selects the checkpoint"
        )
    success = figures.pop(SUCCESS)
    state.history[-1] |= {EVALUATED[learner.config.chosen_in]: success} | figures
    if success > state.selected_success:
        state.selected_success = success
        state.selected_iteration = state.iteration
        state.selected_weights = {k: v.detach().clone() for k, v in learner.actor.state_dict().items()}


def _publish(state: Progress) -> None:
    row = state.history[-1]
    publish({name: value for name, value in row.items() if name != "iteration"}, state.iteration)


def _policy(learner: Learner, weights: Mapping[str, Tensor]) -> FineTunedPolicy:
    """An independent policy: base and an actor with these weights."""
    actor = copy.deepcopy(learner.base)
    actor.load_state_dict(weights)
    steps = learner.config.ft_denoising_steps
    return FineTunedPolicy(copy.deepcopy(learner.base), actor, steps).eval()


def _result(state: Progress, learner: Learner) -> FinetuneResult:
    last = _policy(learner, learner.actor.state_dict())
    if not state.selected_weights:
        return FinetuneResult(last, last, state.iteration, state.history)
    selected = _policy(learner, state.selected_weights)
    return FinetuneResult(last, selected, state.selected_iteration, state.history)


def _run_key(policy: DiffusionPolicy, practice: Practice, config: PPOConfig, *, seed: int) -> str:
    """Digest of everything that shapes a run."""
    identity = practice.identity()
    weights = {f"policy/{key}": value for key, value in policy.state_dict().items()} | identity.weights
    page = {"ppo": config_to_dict(config), "policy": config_to_dict(policy.config), "seed": seed}
    return Checkpoint(kind="ppo", weights=weights, config=page | identity.page).digest
