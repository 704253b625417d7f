"""Closed-loop rollouts in the simulator: n starts in lockstep, success by the oracle at any control step.

Protocol (docs/published.md, evaluation): a chunk of ``act_steps`` actions per decision, cut short when
the episode ends; at most 72 control steps; success is judged after every step,
relative to the scene right after the reset.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wam.evaluation.agent import Agent, Policy, WorldModelAgent
from wam.parallel.progress import progress
from wam.sight.frame_filter import PrevAction
from wam.sim.frames import SimFrames
from wam.sim.pool import SimPool, nothing
from wam.sim.rules import judged, to_executable
from wam.tasks.starts import Start
from wam.tasks.table import task as task_called
from wam.world_model.model import WorldModel

MAX_STEPS = 72
"""Control steps (1/30 s each) before an episode is truncated; published."""


@dataclass(frozen=True)
class RolloutResult:
    """What n episodes came to.

    Attributes:
        success: (n,) bool, whether the oracle was satisfied after any control step.
        steps: (n,) int64, control steps taken: to the first success, or all of them.
        videos: Frames (T, 64, 128, 3) uint8 of the recorded starts by their index, static camera beside
            gripper camera, first frame included.
    """

    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    videos: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def success_rate(self) -> float:
        """Share of successful episodes, in [0, 1]."""
        return float(self.success.mean())


class _Recorder:
    """Frames of a few starts while their episodes last."""

    def __init__(self, rows: Sequence[int], frames: SimFrames) -> None:
        self._clips: dict[int, list[NDArray[np.uint8]]] = {row: [] for row in rows}
        self.add(frames, np.ones(len(frames), np.bool_))

    def add(self, frames: SimFrames, running: NDArray[np.bool_]) -> None:
        for row, clip in self._clips.items():
            if running[row]:
                assert frames.image_static is not None, "recorded rollouts are rendered"
                assert frames.image_gripper is not None, "recorded rollouts are rendered"
                clip.append(_side_by_side(frames.image_static[row], frames.image_gripper[row]))

    def videos(self) -> dict[int, NDArray[np.uint8]]:
        return {row: np.stack(clip) for row, clip in self._clips.items()}


def _side_by_side(static: NDArray[np.uint8], gripper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if static.shape == gripper.shape:
        return np.concatenate([static, gripper], axis=1)
    tall = np.zeros((static.shape[0], gripper.shape[1], 3), np.uint8)
    height = min(static.shape[0], gripper.shape[0])
    tall[:height] = gripper[:height]
    return np.concatenate([static, tall], axis=1)


def rollout(
    pool: SimPool,
    starts: Sequence[Start],
    task: str,
    agent: Agent,
    *,
    max_steps: int = MAX_STEPS,
    linger_steps: int = 0,
    record: Sequence[int] = (),
    description: str = "rollout",
) -> RolloutResult:
    """Run the agent from every start, each until its first success or ``max_steps``.

    Args:
        pool: The simulators; reset here, so one pool serves many rollouts.
        starts: n starts.
        task: The task whose oracle judges.
        agent: Acts for all n starts in lockstep.
        max_steps: Control steps at most.
        linger_steps: Control steps that an episode goes on after its first success, within ``max_steps``, for
            agents that look at solved frames; they count neither for success nor for steps.
        record: Indices of starts whose frames are kept (drawn even for an agent without eyes).
        description: Shown before the progress bar.

    Returns:
        Success, steps and recorded frames, in the order of the starts.

    Raises:
        ValueError: No starts, an unknown task, an index out of range, actions that are not finite.
    """
    oracle = task_called(task)
    if not starts or not all(0 <= row < len(starts) for row in record):
        raise ValueError(
            f"need at least one start and recorded indices below {len(starts)}, got {list(record)}"
        )
    render = np.full(len(starts), agent.needs_images)
    render[list(record)] = True  # drawing takes most of a step: for an agent without eyes, what is kept only
    frames = pool.reset(starts, render=render)
    agent.reset(frames)
    origin = frames.scene_state.copy()
    recorder = _Recorder(record, frames)
    active, success = np.ones(len(starts), np.bool_), np.zeros(len(starts), np.bool_)
    steps, lingered = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
    observe: Callable[[], object] = nothing
    with progress(max_steps, description, "step") as bar:
        for step in range(max_steps):
            if step % agent.act_steps == 0:
                observe()
                observe, chunk = nothing, to_executable(agent.act())
            action = chunk[:, step % agent.act_steps]
            frames = pool.step(action, active=active, render=render, meanwhile=observe)
            steps += active & ~success
            recorder.add(frames, active)
            success |= active & judged(oracle, origin, frames)
            lingered += active & success
            active = active & (lingered <= linger_steps)
            bar.update()
            if not active.any():
                break
            observe = partial(agent.observe, frames, action, active)  # while the next step is taken
        else:
            observe()
    return RolloutResult(success, steps, recorder.videos())


def make_evaluator(
    pool: SimPool,
    starts: Sequence[Start],
    task: str,
    world_model: WorldModel,
    *,
    act_steps: int,
    start_repeats: int,
    seed: int,
    max_steps: int = MAX_STEPS,
    prev_action: PrevAction = "executed",
) -> Callable[[Policy], dict[str, float]]:
    """The callable that fine-tuning evaluates with: the same episodes again for every policy it is given.

    Args:
        pool: Simulators, kept between calls.
        starts: Selection starts, never held-out ones.
        task: The task.
        world_model: Filters the real frames.
        act_steps: Actions executed per decision.
        start_repeats: Times the first frame is filtered before the first decision.
        seed: Of latent samples and denoising noise; the same in every call.
        max_steps: Control steps at most.
        prev_action: As the agent's.

    Returns:
        A function of a policy that gives ``success`` (rate, in [0, 1]) and ``steps`` (mean).
    """

    def evaluate(policy: Policy) -> dict[str, float]:
        agent = WorldModelAgent(
            world_model,
            policy,
            act_steps=act_steps,
            start_repeats=start_repeats,
            seed=seed,
            prev_action=prev_action,
        )
        result = rollout(pool, starts, task, agent, max_steps=max_steps, description=f"evaluate {task}")
        return {"success": result.success_rate, "steps": float(result.steps.mean())}

    return evaluate
