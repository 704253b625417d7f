"""The world model as a vectorised environment with the contract of the real one."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from jaxtyping import Bool, Float
from torch import Tensor

from wam.contracts import ACTION_DIM
from wam.reward.classifier import RewardClassifier
from wam.rl.config import decisions_per_episode
from wam.world_model.state import RSSMState


@runtime_checkable
class ImaginationModel(Protocol):
    """What imagination needs of a world model."""

    def imagine_step(self, state: RSSMState, action: Tensor, generator: torch.Generator) -> RSSMState:
        """Prior step: the state after ``action`` ``(B, A)``."""


class ImaginedEnv(VectorEnv[Tensor, Tensor, Tensor]):
    """Environments side by side in the frozen world model, with gymnasium's five returns.

    One step is one decision::

        feat[t] --action 0--> feat --action 1--> feat ... --action act_steps-1--> feat[t+1]
                                |                 |                                |
                               success?        success?                        success?

    The reward is 1 where the classifier sees success, which terminates. After ``imagine_steps`` actions
    without it the episode is truncated. An environment that ended restarts in the same step from a random
    start state: the observation is the new start, ``info["final_obs"]`` the features the episode ended with.
    A classifier that judges by the change since the start is shown the start of the running episode as well.

    Args:
        world_model: Rolls the prior; never changed.
        classifier: Judges features; never changed.
        start_states: States to start from, ``(N, ...)``.
        num_envs: Environments side by side.
        imagine_steps: Environment steps until truncation, a multiple of ``act_steps``.
        act_steps: Actions per decision.
        generator: Draws starts and the prior's samples.
        reward_steps: Score every step of a chunk, or only the "last" (docs/published.md, fault B17).
        binarize_gripper: Send the gripper's sign, as the simulator does; False is fault B9.
        clip_action: Clip actions to [-1, 1], as evaluation does.

    Raises:
        ValueError: If ``imagine_steps`` is no multiple of ``act_steps``, there is no start state, or the
            classifier judges features of another width.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012  (gymnasium's attribute)

    def __init__(
        self,
        world_model: ImaginationModel,
        classifier: RewardClassifier,
        start_states: RSSMState,
        *,
        num_envs: int,
        imagine_steps: int,
        act_steps: int,
        generator: torch.Generator,
        reward_steps: Literal["every", "last"] = "every",
        binarize_gripper: bool = True,
        clip_action: bool = True,
    ) -> None:
        self.decisions = decisions_per_episode(imagine_steps, act_steps)
        if len(start_states.deter) == 0:
            raise ValueError("no start states to imagine from; encode some scenes first")
        self.world_model = world_model
        self.classifier = classifier
        self.start_states = start_states
        self.num_envs = num_envs
        self.act_steps = act_steps
        self.generator = generator
        self.reward_steps = reward_steps
        self.binarize_gripper = binarize_gripper
        self.clip_action = clip_action
        feat_dim = start_states.feat.shape[-1]
        if classifier.feat_dim != feat_dim:
            raise ValueError(
                f"the classifier judges features {classifier.feat_dim} wide, those of the start states are "
                f"{feat_dim} wide; take both from one world model"
            )
        self.single_observation_space = Box(-np.inf, np.inf, (feat_dim,), np.float32)
        self.single_action_space = Box(-1.0, 1.0, (act_steps, ACTION_DIM), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (num_envs, feat_dim), np.float32)
        self.action_space = Box(-1.0, 1.0, (num_envs, act_steps, ACTION_DIM), np.float32)
        self._state: RSSMState | None = None
        self._start_feat = start_states.feat[:0]
        self._decision = torch.zeros(num_envs, dtype=torch.long)

    @torch.no_grad()
    def reset(
        self, *, seed: int | list[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Float[Tensor, "n F"], dict[str, Any]]:
        """Put every environment at a start state.

        Args:
            seed: Reseeds the generator.
            options: ``{"rows": (n,) long}`` names the start states instead of drawing them.

        Returns:
            Features and an empty info.
        """
        if isinstance(seed, int):
            self.generator.manual_seed(seed)
        rows = options["rows"] if options else self._draw(self.num_envs)
        self._state = self.start_states.rows(rows)
        self._start_feat = self._state.feat
        self._decision = torch.zeros(self.num_envs, dtype=torch.long, device=self._state.deter.device)
        return self._state.feat, {}

    @torch.no_grad()
    def step(
        self, actions: Float[Tensor, "n act_steps A"]
    ) -> tuple[
        Float[Tensor, "n F"], Float[Tensor, " n"], Bool[Tensor, " n"], Bool[Tensor, " n"], dict[str, Any]
    ]:
        """Execute one chunk in every environment.

        Args:
            actions: Chunks; not changed.

        Returns:
            Features, reward (0 or 1), terminated, truncated, and info with ``final_obs`` ``(n, F)``, the
            features before any restart, ``_final_obs`` ``(n,)``, where they end an episode, and ``start_row``
            ``(n,)``, the start state of the episodes that begin (-1 elsewhere).

        Raises:
            RuntimeError: Before the first reset.
            ValueError: If the chunks have another shape.
        """
        if self._state is None:
            raise RuntimeError("step before reset; call reset() first")
        if actions.shape[:2] != (self.num_envs, self.act_steps):
            raise ValueError(
                f"chunks of shape {tuple(actions.shape)}, expected ({self.num_envs}, {self.act_steps}, A)"
            )
        feats = self._imagine(self._sent(actions))
        final = feats[:, -1]
        scored = feats if self.reward_steps == "every" else feats[:, -1:]
        judged = self.classifier.inputs(scored, self._start_feat[:, None])
        terminated = self.classifier.predict(judged).any(1)
        self._decision = self._decision + 1
        truncated = ~terminated & (self._decision >= self.decisions)
        ended = terminated | truncated
        start_row = self._restart(ended)
        info = {"final_obs": final, "_final_obs": ended, "start_row": start_row}
        return self._state.feat, terminated.float(), terminated, truncated, info

    def _imagine(self, actions: Tensor) -> Tensor:
        """Features after each action, ``(n, act_steps, F)``; moves the state on."""
        assert self._state is not None
        feats = []
        for i in range(self.act_steps):
            self._state = self.world_model.imagine_step(self._state, actions[:, i], self.generator)
            feats.append(self._state.feat)
        return torch.stack(feats, 1)

    def _sent(self, actions: Tensor) -> Tensor:
        """Actions as the world model gets them."""
        motion, gripper = actions[..., :-1], actions[..., -1:]
        if self.binarize_gripper:
            gripper = torch.where(gripper >= 0, 1.0, -1.0)
        sent = torch.cat((motion, gripper), -1)
        return sent.clamp(-1, 1) if self.clip_action else sent

    def _restart(self, ended: Tensor) -> Tensor:
        """Put ended environments at random starts; returns their start rows, -1 elsewhere."""
        assert self._state is not None
        drawn = self._draw(self.num_envs)
        starts = self.start_states.rows(drawn)
        deter = torch.where(ended[:, None], starts.deter, self._state.deter)
        stoch = torch.where(ended[:, None, None], starts.stoch, self._state.stoch)
        self._state = RSSMState(deter=deter, stoch=stoch)
        self._start_feat = torch.where(ended[:, None], starts.feat, self._start_feat)
        self._decision = self._decision * ~ended
        return torch.where(ended, drawn, -1)

    def _draw(self, count: int) -> Tensor:
        rows = torch.randint(
            len(self.start_states.deter), (count,), generator=self.generator, device=self.generator.device
        )
        return rows.to(self.start_states.deter.device)
