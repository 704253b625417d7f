"""Controls from the same starts: the scripted expert, and cloning on state instead of features.

Without them a success rate says nothing about the world model: on a table whose furniture never moves, a
policy that sees only proprioception reached 82 % (docs/published.md, first trial).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wam.demonstrations.control_conditions import ControlKind, control_condition
from wam.episodes.statistics import ProprioStatistics
from wam.evaluation.agent import Sampler, StateAgent
from wam.evaluation.rollout import MAX_STEPS, RolloutResult
from wam.parallel.map import Workers, map_pieces
from wam.sim.config import SimConfig
from wam.sim.expert_runs import run_expert
from wam.sim.frames import SimFrames
from wam.tasks.starts import Start


def stack_layouts(starts: Sequence[Start]) -> NDArray[np.float64] | None:
    """Layouts (n, L) of the starts, None when they have none.

    Raises:
        ValueError: If only some starts have a layout.
    """
    layouts = [start.layout for start in starts if start.layout is not None]
    if layouts and len(layouts) != len(starts):
        raise ValueError(
            f"only {len(layouts)} of {len(starts)} starts have a layout; take them from one data set"
        )
    return np.stack(layouts) if layouts else None


def make_control_agent(
    kind: ControlKind,
    policy: Sampler,
    starts: Sequence[Start],
    statistics: ProprioStatistics,
    *,
    act_steps: int,
    seed: int,
) -> StateAgent:
    """An agent for rollouts from exactly these starts (a privileged policy is told their layouts)."""
    layout = stack_layouts(starts)

    def condition(frames: SimFrames) -> NDArray[np.float32]:
        return control_condition(kind, frames.robot_obs, frames.scene_state, layout, statistics)

    return StateAgent(policy, condition, act_steps=act_steps, seed=seed)


@dataclass(frozen=True)
class _ExpertPiece:
    config: SimConfig
    start: Start
    task: str
    max_steps: int


def _run_expert(piece: _ExpertPiece) -> tuple[bool, int]:
    drawn = 0  # a whole attempt draws nothing
    run = run_expert(piece.config, piece.start, piece.task, max_steps=piece.max_steps, seed=drawn)
    return bool(run.success), int(run.steps)


def expert_rollout(
    config: SimConfig,
    starts: Sequence[Start],
    task: str,
    *,
    workers: Workers,
    max_steps: int = MAX_STEPS,
) -> RolloutResult:
    """The scripted expert from every start; it knows the furniture's layout.

    Args:
        config: The simulator.
        starts: n starts.
        task: The task.
        workers: Processes.
        max_steps: Control steps at most.

    Returns:
        Success and steps, in the order of the starts; no videos.
    """
    pieces = [_ExpertPiece(config, start, task, max_steps) for start in starts]
    ends = list(map_pieces(_run_expert, pieces, workers=workers, description=f"expert {task}", unit="start"))
    return RolloutResult(
        np.array([success for success, _ in ends], np.bool_), np.array([steps for _, steps in ends], np.int64)
    )
