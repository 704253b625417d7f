"""The cloning regulariser of fine-tuning, in both published directions."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wam.policy.chain import DenoisingChain, chain_steps, gaussian_log_prob
from wam.policy.diffusion import DiffusionPolicy
from wam.rl.config import PPOConfig
from wam.rl.samples import Minibatch


def forward_loss(
    actor: DiffusionPolicy,
    teacher: DenoisingChain,
    cond: Float[Tensor, "U C"],
    share: Float[Tensor, " B"],
    *,
    min_std: float,
    clamp: tuple[float, float],
    place: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the frozen base's own chains under the actor.

    Args:
        actor: Trained policy.
        teacher: Chains of the base.
        cond: Conditions.
        share: Weight of each chain; sums to 1.
        min_std: Floor of the deviation.
        clamp: Bounds of an element's log-probability.
        place: Condition of each chain, where several share one; None: one for each.

    Source:
        docs/published.md, PPO.
    """
    log_prob = actor.log_prob(teacher, cond, min_std, place).clamp(*clamp).mean((1, 2, 3))
    return -(log_prob * share).sum()


def reverse_loss(
    mean: Float[Tensor, "R Hs A"],
    base_mean: Float[Tensor, "R Hs A"],
    std: Float[Tensor, " R"],
    unit_noise: Float[Tensor, "R Hs A"],
    *,
    clamp: tuple[float, float],
) -> Float[Tensor, ""]:
    """Negative log-likelihood of the actor's transitions under the frozen base.

    Each transition is drawn anew from the actor, ``mean + std noise``, so the gradient flows through the
    draw; the noisy chunk it starts from is a recorded one and stays fixed.

    Args:
        mean: Means under the actor, with gradient.
        base_mean: Means under the base from the same noisy chunks.
        std: Deviation of each transition.
        unit_noise: Unit noise of the draws.
        clamp: Bounds of an element's log-probability.

    Source:
        docs/published.md, PPO, which leaves open how the mean over the actor's chain is differentiated.
    """
    drawn = mean + std[:, None, None] * unit_noise
    return -gaussian_log_prob(drawn, base_mean, std).clamp(*clamp).mean()


class CloningRegularizer:
    """The configured regulariser over the iterations of a run.

    Args:
        base: Frozen policy.
        config: Direction, draws and bounds; a coefficient of 0 makes every loss 0 without work.
    """

    def __init__(self, base: DiffusionPolicy, config: PPOConfig) -> None:
        self.base = base
        self.config = config
        self._cond = torch.zeros(0)
        self._teacher: DenoisingChain | None = None
        self._base_mean: Tensor | None = None

    @torch.no_grad()
    def prepare(self, cond: Float[Tensor, "N C"], chain: DenoisingChain, generator: torch.Generator) -> None:
        """Take in an iteration's decisions; what stays the same over its gradient steps is computed here.

        Args:
            cond: Condition of every decision.
            chain: The actor's chains.
            generator: Draws the base's chains, if they are drawn once per iteration.
        """
        self._cond = cond
        if self.config.bc_coef == 0:
            return
        if self.config.bc_direction == "reverse":
            k = chain_steps(chain.steps, cond.device)
            projected = self.base.project(cond)[:, None]
            self._base_mean = self.base.transition_mean(chain.actions[:, :-1], k[None], projected)
        elif self.config.bc_draws == "iteration":
            self._teacher = self._chains(cond, generator)

    def loss(
        self,
        actor: DiffusionPolicy,
        batch: Minibatch,
        mean: Float[Tensor, "R Hs A"],
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """Regulariser on a minibatch.

        Args:
            actor: Trained policy.
            batch: Transitions.
            mean: Their means under the actor, with gradient.
            generator: Draws chains, subsets and noise.
        """
        config = self.config
        if config.bc_coef == 0:
            return torch.zeros((), device=mean.device)
        if config.bc_direction == "reverse":
            return self._reverse(actor, batch, mean, generator)
        rows, share = self._rows(batch, generator)
        place = None
        if config.bc_draws == "row":  # rows share observations: each enters the networks once
            rows, place = torch.unique(rows, return_inverse=True)
        cond = self._cond[rows]
        if self._teacher is None:
            chain = self._chains(cond, generator, place)
        else:
            chain = DenoisingChain(actions=self._teacher.actions[rows], mean=self._teacher.mean[rows])
        return forward_loss(
            actor,
            chain,
            cond,
            share,
            min_std=config.min_logprob_std,
            clamp=config.logprob_clamp,
            place=place,
        )

    def _reverse(
        self, actor: DiffusionPolicy, batch: Minibatch, mean: Tensor, generator: torch.Generator
    ) -> Tensor:
        assert self._base_mean is not None, "prepare() comes before loss()"
        noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(mean.device)
        k = chain_steps(self._base_mean.shape[1], mean.device)[batch.index]
        std = actor.schedule.floored_std(self.config.min_logprob_std)[k]
        base_mean = self._base_mean[batch.decision, batch.index]
        return reverse_loss(mean, base_mean, std, noise, clamp=self.config.logprob_clamp)

    def _rows(self, batch: Minibatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Decisions to draw chains for, and their weights."""
        if self.config.bc_draws == "row":
            rows, share = batch.decision, torch.ones(len(batch.decision), device=batch.decision.device)
        else:
            rows, share = batch.distinct, batch.share
        kept = math.ceil(self.config.bc_fraction * len(rows))
        if kept < len(rows):
            order = torch.randperm(len(rows), generator=generator, device=generator.device)
            chosen = order[:kept].to(rows.device)
            rows, share = rows[chosen], share[chosen]
        return rows, share / share.sum()

    def _chains(
        self, cond: Tensor, generator: torch.Generator, place: Tensor | None = None
    ) -> DenoisingChain:
        """Chains of the frozen base, explored like the actor's."""
        return self.base.sample_chain(
            cond,
            generator=generator,
            deterministic=False,
            ft_denoising_steps=self.config.ft_denoising_steps,
            place=place,
        )
