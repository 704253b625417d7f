"""The contract that imagined and simulated environments keep, so that one PPO learns in both."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wam.contracts import ACTION_DIM
from wam.rl.config import decisions_per_episode


class DecisionEnv(VectorEnv[Tensor, Tensor, Tensor]):
    """Environments side by side that show what a policy sees, with gymnasium's five returns.

    One step is one decision::

        cond[t] --action 0--> feat --action 1--> feat ... --action act_steps-1--> feat, cond[t+1]
                                |                 |                                |
                               success?        success?                        success?

    The reward is 1 where the task is solved, which terminates. After ``episode_steps`` actions without
    it the episode is truncated. An environment that ended restarts in the same step from a random
    start: the observation is the new start, ``info["final_obs"]`` what the episode ended with.
    Observations are conditions of a policy (``wam.sight.conditions``).

    Args:
        starts: Number of starts to draw from.
        cond_dim: C, width of what is shown.
        num_envs: Environments side by side.
        episode_steps: Control steps until truncation, a multiple of ``act_steps``.
        act_steps: Actions per decision.
        generator: Draws starts.
        device: Where conditions are.

    Attributes:
        decisions: Decisions of an episode that is not solved before its end.
        real_steps: Control steps taken in a simulator since this was made; imagined ones do not count.

    Raises:
        ValueError: If ``episode_steps`` is no multiple of ``act_steps``, or there is no start.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012  (gymnasium's attribute)

    def __init__(
        self,
        *,
        starts: int,
        cond_dim: int,
        num_envs: int,
        episode_steps: int,
        act_steps: int,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.decisions = decisions_per_episode(episode_steps, act_steps)
        if starts == 0:
            raise ValueError("no start states to begin from; draw some scenes first")
        self.num_envs = num_envs
        self.act_steps = act_steps
        self.generator = generator
        self.real_steps = 0
        self._starts = starts
        self._device = device
        self.single_observation_space = Box(-np.inf, np.inf, (cond_dim,), np.float32)
        self.single_action_space = Box(-1.0, 1.0, (act_steps, ACTION_DIM), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (num_envs, cond_dim), np.float32)
        self.action_space = Box(-1.0, 1.0, (num_envs, act_steps, ACTION_DIM), np.float32)
        self._decision: Tensor | None = None

    @torch.no_grad()
    def reset(
        self, *, seed: int | list[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Float[Tensor, "n C"], dict[str, Any]]:
        """Put every environment at a start.

        Args:
            seed: Reseeds the generator, one for all environments; a list, as gymnasium allows, is refused.
            options: ``{"rows": (n,) long}`` names the starts instead of drawing them.

        Returns:
            Conditions and an empty info.

        Raises:
            TypeError: If there is a seed for each environment.
        """
        if isinstance(seed, list):
            raise TypeError(f"one generator draws for all environments; give one seed, not {len(seed)}")
        if seed is not None:
            self.generator.manual_seed(int(seed))
        rows = options["rows"] if options else self._draw(self.num_envs)
        self._decision = torch.zeros(self.num_envs, dtype=torch.long, device=self._device)
        return self._begin(rows), {}

    @torch.no_grad()
    def step(
        self, actions: Float[Tensor, "n act_steps A"]
    ) -> tuple[
        Float[Tensor, "n C"], Float[Tensor, " n"], Bool[Tensor, " n"], Bool[Tensor, " n"], dict[str, Any]
    ]:
        """Execute one chunk in every environment.

        Args:
            actions: Chunks; not changed.

        Returns:
            Conditions, reward (0 or 1), terminated, truncated, and info with ``final_obs`` ``(n, C)``, those
            before any restart, ``_final_obs`` ``(n,)``, where they end an episode, and ``start_row``
            ``(n,)``, the start of the episodes that begin (-1 elsewhere).

        Raises:
            RuntimeError: Before the first reset.
            ValueError: If the chunks have another shape.
        """
        if self._decision is None:
            raise RuntimeError("step before reset; call reset() first")
        if actions.shape[:2] != (self.num_envs, self.act_steps):
            raise ValueError(
                f"chunks of shape {tuple(actions.shape)}, expected ({self.num_envs}, {self.act_steps}, A)"
            )
        final, terminated = self._execute(actions)
        decision = self._decision + 1
        truncated = ~terminated & (decision >= self.decisions)
        ended = terminated | truncated
        drawn = self._draw(self.num_envs)
        cond = self._restart(ended, drawn)
        self._decision = decision * ~ended
        info = {"final_obs": final, "_final_obs": ended, "start_row": torch.where(ended, drawn, -1)}
        return cond, terminated.float(), terminated, truncated, info

    @abstractmethod
    def _begin(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n C"]:
        """Start every environment; the conditions of the starts."""

    @abstractmethod
    def _execute(
        self, actions: Float[Tensor, "n act_steps A"]
    ) -> tuple[Float[Tensor, "n C"], Bool[Tensor, " n"]]:
        """Act; the conditions that the chunk led to, and where it solved the task."""

    @abstractmethod
    def _restart(self, ended: Bool[Tensor, " n"], rows: Int[Tensor, " n"]) -> Float[Tensor, "n C"]:
        """Put ended environments at their starts among ``rows``; the conditions of all."""

    def _draw(self, count: int) -> Tensor:
        rows = torch.randint(self._starts, (count,), generator=self.generator, device=self.generator.device)
        return rows.to(self._device)
