"""One iteration of experience, and how it is collected."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wam.policy.chain import DenoisingChain
from wam.rl.decision_env import DecisionEnv

Explorer = Callable[[Tensor, torch.Generator], DenoisingChain]
"""Draws a chain for each condition ``(n, C)``."""


@dataclass(frozen=True)
class Rollouts:
    """Decisions of n environments over T steps; every environment starts anew at T = 0.

    Attributes:
        cond: ``(n, T, C)``, condition each decision was made on.
        next_cond: ``(n, T, C)``, condition it led to, in the same episode (never that of a restart).
        actions: ``(n, T, k + 1, Hs, A)``, kept end of each denoising chain.
        mean: ``(n, T, k, Hs, A)``, means of its transitions when it was drawn.
        reward: ``(n, T)``, 0 or 1.
        terminated: ``(n, T)`` bool.
        truncated: ``(n, T)`` bool.
    """

    cond: Tensor
    next_cond: Tensor
    actions: Tensor
    mean: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor

    @property
    def ended(self) -> Tensor:
        """Decisions that ended an episode, ``(n, T)``."""
        return self.terminated | self.truncated

    @property
    def flat_cond(self) -> Tensor:
        """Conditions by decision, ``(n T, C)``."""
        return self.cond.flatten(0, 1)

    @property
    def flat_chain(self) -> DenoisingChain:
        """Chains by decision, ``n T`` of them."""
        return DenoisingChain(actions=self.actions.flatten(0, 1), mean=self.mean.flatten(0, 1))

    @property
    def success(self) -> float:
        """Share of the finished episodes that were solved; 0 if none finished."""
        finished = int(self.ended.sum())
        return int(self.terminated.sum()) / finished if finished else 0.0

    @property
    def first_success(self) -> float:
        """Share of the environments whose first episode was solved.

        Unlike ``success`` it does not count those twice that were solved early, and started once more.
        """
        before = (self.ended.cumsum(1) - self.ended.long()) == 0
        return float((self.terminated & before).any(1).float().mean())


@torch.no_grad()
def collect(
    env: DecisionEnv,
    explore: Explorer,
    *,
    decisions: int,
    generator: torch.Generator,
) -> Rollouts:
    """Reset every environment and act for ``decisions`` decisions, exploring.

    Args:
        env: Environments, imagined or simulated.
        explore: Acts, ``Learner.explore``.
        decisions: T.
        generator: Draws the denoising noise.
    """
    cond, _ = env.reset()
    record: dict[str, list[Tensor]] = {name: [] for name in Rollouts.__dataclass_fields__}
    for _ in range(decisions):
        chain = explore(cond, generator)
        following, reward, terminated, truncated, info = env.step(chain.chunk[:, : env.act_steps])
        row = (cond, info["final_obs"], chain.actions, chain.mean, reward, terminated, truncated)
        for values, value in zip(record.values(), row, strict=True):
            values.append(value)
        cond = following
    return Rollouts(**{name: torch.stack(values, 1) for name, values in record.items()})
