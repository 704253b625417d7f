"""Everything fine-tuning needs to go on after a kill, at rest."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from wam.rl.update import Learner
from wam.training.resume import (
    History,
    TrainingState,
    load_optimizer_tensors,
    load_state,
    optimizer_tensors,
    save_state,
)


@dataclass
class Progress:
    """How far fine-tuning has come.

    Attributes:
        iteration: Finished iterations.
        history: One row per number of finished iterations.
        selected_iteration: Iterations the actor had at its best evaluation so far; -1 before any.
        selected_success: Its success there; -1 before any.
        selected_weights: The actor then.
    """

    iteration: int = 0
    history: History = field(default_factory=list)
    selected_iteration: int = -1
    selected_success: float = -1.0
    selected_weights: dict[str, Tensor] = field(default_factory=dict)


def keep_progress(work_dir: Path, key: str, learner: Learner, progress: Progress) -> None:
    """Replace the state in ``work_dir``, in one move.

    Randomness needs no state: every iteration draws from generators of its own number.

    Args:
        work_dir: Scratch folder of this run.
        key: Digest of what the run is made of.
        learner: Networks, optimisers and reward scale.
        progress: Position, history and selection.
    """
    selection = {
        "iteration": torch.tensor(progress.selected_iteration),
        "success": torch.tensor(progress.selected_success, dtype=torch.float64),
    }
    tensors = {
        "actor": dict(learner.actor.state_dict()),
        "critic": dict(learner.critic.state_dict()),
        "scaler": learner.scaler.state_dict(),
        "actor_optimizer": optimizer_tensors(learner.actor_optimizer),
        "critic_optimizer": optimizer_tensors(learner.critic_optimizer),
        "selection": selection,
        "selected": progress.selected_weights,
    }
    save_state(work_dir, TrainingState(key, progress.iteration, progress.history, tensors))


def restore_progress(work_dir: Path, key: str, learner: Learner) -> Progress:
    """Load the state in ``work_dir`` into ``learner``; a fresh start if there is none of this run."""
    state = load_state(work_dir, key)
    if state is None:
        return Progress()
    parts = state.tensors
    learner.actor.load_state_dict(parts["actor"])
    learner.critic.load_state_dict(parts["critic"])
    learner.scaler.load_state_dict(parts["scaler"])
    load_optimizer_tensors(learner.actor_optimizer, parts.get("actor_optimizer", {}))
    load_optimizer_tensors(learner.critic_optimizer, parts["critic_optimizer"])
    return Progress(
        iteration=state.step,
        history=state.history,
        selected_iteration=int(parts["selection"]["iteration"]),
        selected_success=float(parts["selection"]["success"]),
        selected_weights=parts.get("selected", {}),
    )
