"""The simulator as a vectorised environment with the contract of the imagined one."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from wam.policy.config import Sees
from wam.rl.decision_env import DecisionEnv
from wam.sight.conditions import condition_parts, measured_sight
from wam.sight.frame_filter import FrameFilter, PrevAction
from wam.sim.pool import SimPool, nothing
from wam.sim.rules import judged, to_executable
from wam.tasks.starts import Start
from wam.tasks.table import task as task_called
from wam.world_model.model import WorldModel


class SimulatedEnv(DecisionEnv):
    """Play tables side by side, seen through the world model's posterior over every real frame.

    The simulator's oracle judges after every control step, as in evaluation: a chunk is cut where it solves
    the task. Tables move in lockstep in the pool's worker processes.

    Args:
        pool: Simulators. Only one environment or rollout at a time may use a pool.
        starts: Starts to begin from; never held-out ones.
        task: The task whose oracle judges.
        world_model: The filter, in evaluation mode; never changed.
        num_envs: Tables side by side.
        episode_steps: Control steps until truncation, a multiple of ``act_steps``.
        act_steps: Actions per decision.
        start_repeats: Times the first frame is filtered before the first decision.
        generator: Draws starts.
        noise: Draws latent samples, on the world model's device.
        prev_action: What the filter is told of the action that led to a frame.
        sees: What is shown of a frame.

    Raises:
        ValueError: If ``episode_steps`` is no multiple of ``act_steps``, there is no start, or the task is
            unknown.
    """

    def __init__(
        self,
        pool: SimPool,
        starts: Sequence[Start],
        task: str,
        world_model: WorldModel,
        *,
        num_envs: int,
        episode_steps: int,
        act_steps: int,
        start_repeats: int,
        generator: torch.Generator,
        noise: torch.Generator,
        prev_action: PrevAction = "executed",
        sees: Sees = "features",
    ) -> None:
        super().__init__(
            starts=len(starts),
            cond_dim=sum(condition_parts(sees, world_model)),
            num_envs=num_envs,
            episode_steps=episode_steps,
            act_steps=act_steps,
            generator=generator,
            device=world_model.device,
        )
        self._pool = pool
        self._scenes = list(starts)
        self._task = task_called(task)
        self._filter = FrameFilter(world_model, start_repeats=start_repeats)
        self._sight = measured_sight(sees, world_model)
        self._noise = noise
        self._prev_action = prev_action
        self._origin = np.zeros((0, 0))

    def _begin(self, rows: Tensor) -> Tensor:
        frames = self._pool.reset([self._scenes[row] for row in rows.tolist()], render=True)
        self._origin = frames.scene_state.copy()
        self._filter.start(frames, self._noise)
        return self._shown()

    def _execute(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        own = np.asarray(actions.float().cpu().numpy(), np.float32)
        sent = to_executable(own)
        told = sent if self._prev_action == "executed" else own
        active = np.ones(self.num_envs, np.bool_)
        observe: Callable[[], object] = nothing
        for i in range(self.act_steps):
            frames = self._pool.step(
                sent[:, i], active=active, render=True, meanwhile=observe
            )  # the last ones
            self.real_steps += int(active.sum())
            observe = partial(self._filter.observe, frames, told[:, i], active, self._noise)
            active = active & ~judged(self._task, self._origin, frames)
            if not active.any():
                break
        observe()
        return self._shown(), torch.from_numpy(~active).to(self._device)

    def _restart(self, ended: Tensor, rows: Tensor) -> Tensor:
        which = np.flatnonzero(ended.cpu().numpy())
        if len(which):
            chosen = rows.tolist()
            frames = self._pool.restart(which, [self._scenes[chosen[row]] for row in which], render=True)
            self._origin[which] = frames.scene_state[which]
            self._filter.restart(frames, which, self._noise)
        return self._shown()

    def _shown(self) -> Tensor:
        """Conditions at the newest frames."""
        return self._sight(self._filter.feat, self._filter.proprio)
