"""The world model as a vectorised environment with the contract of the real one."""

from typing import Literal, Protocol

import torch
from torch import Tensor

from wam.contracts import ACTION_DIM
from wam.reward.judge import Judge
from wam.rl.decision_env import DecisionEnv
from wam.sight.conditions import ImaginedSight, features_alone
from wam.world_model.state import RSSMState


class ImaginationModel(Protocol):
    """What imagination needs of a world model."""

    def imagine_step(self, state: RSSMState, action: Tensor, generator: torch.Generator) -> RSSMState:
        """Prior step: the state after ``action`` ``(B, A)``."""


class ImaginedEnv(DecisionEnv):
    """Environments side by side in the frozen world model.

    A task is solved where the judge sees success. A judge that goes by the change since the start is shown
    the start of the running episode as well.

    Args:
        world_model: Rolls the prior; never changed.
        judge: Judges features; never changed.
        start_states: States to start from, ``(N, ...)``.
        num_envs: Environments side by side.
        imagine_steps: Environment steps until truncation, a multiple of ``act_steps``.
        act_steps: Actions per decision.
        generator: Draws starts and the prior's samples.
        reward_steps: Score every step of a chunk, or only the "last" (docs/published.md, fault B17).
        binarize_gripper: Send the gripper's sign, as the simulator does; False is fault B9.
        clip_action: Clip actions to [-1, 1], as evaluation does.
        command_response: Share of the way to its target that the arm goes in one step; the rest is owed::

            motion[t] = response (owed[t] + command[t])      owed[t+1] = owed[t] + command[t] - motion[t]
        sight: Makes what is shown out of features, which alone are judged.

    Attributes:
        start_feat: ``(n, F)``, features that the running episodes began with.
        final_feat: ``(n, F)``, features that the last decisions led to, before any restart.

    Raises:
        ValueError: If ``imagine_steps`` is no multiple of ``act_steps``, there is no start state, or the
            judge is of features of another width.
    """

    def __init__(
        self,
        world_model: ImaginationModel,
        judge: Judge,
        start_states: RSSMState,
        *,
        num_envs: int,
        imagine_steps: int,
        act_steps: int,
        generator: torch.Generator,
        reward_steps: Literal["every", "last"] = "every",
        binarize_gripper: bool = True,
        clip_action: bool = True,
        command_response: float = 1.0,
        sight: ImaginedSight = features_alone,
    ) -> None:
        feat_dim = start_states.feat.shape[-1]
        super().__init__(
            starts=len(start_states.deter),
            cond_dim=sight(start_states.feat[:0]).shape[-1],
            num_envs=num_envs,
            episode_steps=imagine_steps,
            act_steps=act_steps,
            generator=generator,
            device=start_states.deter.device,
        )
        if judge.feat_dim != feat_dim:
            raise ValueError(
                f"the judge of success is of features {judge.feat_dim} wide, those of the start states are "
                f"{feat_dim} wide; take both from one world model"
            )
        self.world_model = world_model
        self.judge = judge
        self.start_states = start_states
        self.reward_steps = reward_steps
        self.binarize_gripper = binarize_gripper
        self.clip_action = clip_action
        self.command_response = command_response
        self._owed = start_states.deter.new_zeros(0, ACTION_DIM - 1)
        self.sight = sight
        self._state: RSSMState
        self.start_feat = self.final_feat = start_states.feat[:0]

    def _begin(self, rows: Tensor) -> Tensor:
        self._state = self.start_states.rows(rows)
        self._owed = self._state.deter.new_zeros(len(rows), ACTION_DIM - 1)
        self.start_feat = self._state.feat
        return self.sight(self._state.feat)

    def _execute(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        feats = self._imagine(self._sent(actions))
        self.final_feat = feats[:, -1]
        scored = feats if self.reward_steps == "every" else feats[:, -1:]
        judged = self.judge.inputs(scored, self.start_feat[:, None])
        return self.sight(self.final_feat), self.judge.predict(judged).any(1)

    def _imagine(self, actions: Tensor) -> Tensor:
        """Features after each action, ``(n, act_steps, F)``; moves the state on."""
        feats = []
        for i in range(self.act_steps):
            motion = self._followed(actions[:, i])
            self._state = self.world_model.imagine_step(self._state, motion, self.generator)
            feats.append(self._state.feat)
        return torch.stack(feats, 1)

    def _sent(self, actions: Tensor) -> Tensor:
        """Actions as the world model gets them."""
        motion, gripper = actions[..., :-1], actions[..., -1:]
        if self.binarize_gripper:
            gripper = torch.where(gripper >= 0, 1.0, -1.0)
        sent = torch.cat((motion, gripper), -1)
        return sent.clamp(-1, 1) if self.clip_action else sent

    def _followed(self, command: Tensor) -> Tensor:
        """The motion ``(n, A)`` that a command leads to, with what earlier ones left."""
        target = self._owed + command[:, :-1]
        motion = self.command_response * target
        self._owed = target - motion
        return torch.cat((motion, command[:, -1:]), dim=-1)

    def _restart(self, ended: Tensor, rows: Tensor) -> Tensor:
        starts = self.start_states.rows(rows)
        self._state = starts.where(ended, self._state)
        self._owed = self._owed * ~ended[:, None]
        self.start_feat = torch.where(ended[:, None], starts.feat, self.start_feat)
        return self.sight(self._state.feat)
