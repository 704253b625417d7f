"""Actors for closed-loop evaluation: n in lockstep, one decision per chunk, every real frame observed.

Time::

    reset(frame 0) -> act() -> [observe(frame 1, a0) .. observe(frame 4, a3)] -> act() -> ...

``observe`` gets the action that was *executed* (gripper binarised, clipped) and led to the frame.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import ACTION_DIM
from wam.policy.config import Sees
from wam.seeding import numpy_generator, torch_generator
from wam.sight.conditions import measured_sight
from wam.sight.frame_filter import FrameFilter, PrevAction
from wam.sim.frames import SimFrames
from wam.world_model.model import WorldModel


class Sampler(Protocol):
    """What draws actions from conditions."""

    def sample(self, cond: Tensor, *, generator: torch.Generator, deterministic: bool) -> Tensor:
        """A chunk of actions ``(B, horizon_steps, 7)`` for every condition ``(B, C)``."""
        ...


class Policy(Sampler, Protocol):
    """What an agent needs of a policy: cloned and fine-tuned ones alike."""

    @property
    def sees(self) -> Sees:
        """What its conditions are made of."""
        ...


class Agent(Protocol):
    """n actors in lockstep."""

    @property
    def act_steps(self) -> int:
        """Actions executed per decision."""
        ...

    @property
    def needs_images(self) -> bool:
        """Whether frames must be rendered for this agent."""
        ...

    def reset(self, frames: SimFrames) -> None:
        """Start n episodes at their first frames, forgetting earlier ones."""
        ...

    def act(self) -> NDArray[np.float32]:
        """One decision for all n: actions ``(n, act_steps, 7)``, not yet clipped."""
        ...

    def observe(self, frames: SimFrames, action: NDArray[np.float32], active: NDArray[np.bool_]) -> None:
        """Take in the frames that the executed actions ``(n, 7)`` led to, where ``active`` ``(n,)``."""
        ...


class WorldModelAgent:
    """A policy on what it sees of features, filtered by the world model's posterior over every real frame.

    Noise is drawn from a generator made anew at every reset, so one evaluation repeats to the bit. It is
    drawn for all n starts and used by those still running: what a start draws never depends on which others
    ended.

    Args:
        world_model: The filter, in evaluation mode.
        policy: Acts on what it ``sees`` of features and the measured arm.
        act_steps: Actions executed per decision.
        start_repeats: Times the first frame is filtered before the first decision.
        seed: Of the latent samples and the denoising noise.
        prev_action: What the filter is told of the action that led to a frame: the one that was
            ``executed`` (clipped, gripper -1 or +1, as in the recordings), or the ``policy``'s own numbers,
            as published (docs/published.md, fault B9).
    """

    needs_images = True

    def __init__(
        self,
        world_model: WorldModel,
        policy: Policy,
        *,
        act_steps: int,
        start_repeats: int,
        seed: int,
        prev_action: PrevAction = "executed",
    ) -> None:
        self._filter = FrameFilter(world_model, start_repeats=start_repeats)
        self._policy = policy
        self._sight = measured_sight(policy.sees, world_model)
        self._device = world_model.device
        self._seed = seed
        self._prev_action = prev_action
        self._chunk: NDArray[np.float32]
        self._observed = 0
        self._generator: torch.Generator
        self.act_steps = act_steps

    @property
    def feat(self) -> Tensor:
        """Features ``(n, F)`` of the newest frames observed; stale for starts that no longer run."""
        return self._filter.feat

    def reset(self, frames: SimFrames) -> None:
        """Filter the first frames from the zero state, each repeated ``start_repeats`` times."""
        self._generator = torch_generator(self._seed, "world_model_agent", device=self._device)
        self._filter.start(frames, self._generator)

    @torch.no_grad()
    def act(self) -> NDArray[np.float32]:
        """Sample one chunk for every start from what the policy sees now."""
        cond = self._sight(self._filter.feat, self._filter.proprio)
        chunk = self._policy.sample(cond, generator=self._generator, deterministic=True)
        self._chunk = np.asarray(chunk[:, : self.act_steps].float().cpu().numpy(), np.float32)
        self._observed = 0
        return self._chunk

    def observe(self, frames: SimFrames, action: NDArray[np.float32], active: NDArray[np.bool_]) -> None:
        """One posterior step with the action that led to the frames, for the starts still running."""
        if self._prev_action == "policy":
            action = self._chunk[:, self._observed]
        self._observed += 1
        self._filter.observe(frames, action, active, self._generator)


class StateAgent:
    """A policy on a state vector, without images: the privileged and the proprio-only control.

    Args:
        policy: Acts on ``condition(frames)``.
        condition: The policy's input, ``(n, C)`` float32, from the current frames.
        act_steps: Actions executed per decision.
        seed: Of the denoising noise.
    """

    needs_images = False

    def __init__(
        self,
        policy: Sampler,
        condition: Callable[[SimFrames], NDArray[np.float32]],
        *,
        act_steps: int,
        seed: int,
    ) -> None:
        self._policy = policy
        self._condition = condition
        self._seed = seed
        self._generator: torch.Generator
        self._frames: SimFrames
        self.act_steps = act_steps

    def reset(self, frames: SimFrames) -> None:
        """Remember the first frames and restart the noise."""
        self._generator = torch_generator(self._seed, "state_agent")
        self._frames = frames

    @torch.no_grad()
    def act(self) -> NDArray[np.float32]:
        """Sample one chunk for every start from its current state vector."""
        cond = torch.from_numpy(self._condition(self._frames))
        chunk = self._policy.sample(cond, generator=self._generator, deterministic=True)
        return np.asarray(chunk[:, : self.act_steps].float().numpy(), np.float32)

    def observe(self, frames: SimFrames, action: NDArray[np.float32], active: NDArray[np.bool_]) -> None:  # noqa: ARG002 - memoryless
        """Remember the frames."""
        self._frames = frames


class RandomAgent:
    """Uniform relative actions in [-1, 1], one draw per start and decision, held for the whole chunk.

    Holding an action moves the arm up to 8 cm per decision; a new draw at every step would only tremble
    around the start and make a weaker control. The gripper opens or closes with equal chance.

    Args:
        act_steps: Control steps that one draw is held.
        seed: Of the draws.
    """

    needs_images = False

    def __init__(self, *, act_steps: int, seed: int) -> None:
        self._seed = seed
        self._rng: np.random.Generator
        self._count = 0
        self.act_steps = act_steps

    def reset(self, frames: SimFrames) -> None:
        """Restart the draws."""
        self._rng = numpy_generator(self._seed, "random_agent")
        self._count = len(frames)

    def act(self) -> NDArray[np.float32]:
        """Draw one action per start and hold it."""
        drawn = self._rng.uniform(-1.0, 1.0, (self._count, 1, ACTION_DIM)).astype(np.float32)
        return np.repeat(drawn, self.act_steps, axis=1)

    def observe(self, frames: SimFrames, action: NDArray[np.float32], active: NDArray[np.bool_]) -> None:
        """Nothing to see."""
