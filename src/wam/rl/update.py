"""The update half of an iteration: advantages, then gradient steps on actor and critic."""

import copy
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from wam.nn.linear_init import fan_in_uniform_
from wam.policy.chain import DenoisingChain, chain_steps, gaussian_log_prob
from wam.policy.critic import Critic
from wam.policy.diffusion import DiffusionPolicy
from wam.rl.buffer import Rollouts
from wam.rl.config import PPOConfig
from wam.rl.gae import gae
from wam.rl.losses import clamped_log_prob, clip_schedule, denoising_discount, normalized, policy_loss
from wam.rl.regularizer import CloningRegularizer
from wam.rl.reward_scaling import RewardScaler
from wam.rl.samples import Minibatch, minibatches, score
from wam.training.captured import Captured
from wam.training.device import sent


class Targets(NamedTuple):
    """What an iteration's decisions are trained towards; nothing here has a gradient.

    Attributes:
        cond: ``(N, C)``.
        chain: N chains.
        old_log_prob: ``(N, n)``, under the policy that drew them.
        advantage: ``(N,)``.
        value_target: ``(N,)``.
    """

    cond: Tensor
    chain: DenoisingChain
    old_log_prob: Tensor
    advantage: Tensor
    value_target: Tensor


@dataclass
class Learner:
    """Everything that learns in fine-tuning, and the settings of its updates.

    Attributes:
        actor: Trained copy of the policy.
        base: Frozen policy.
        critic: Value network.
        scaler: Running scale of the rewards.
        config: Settings.
        capture: On a GPU, replay the denoising of what is explored as one graph (``training.captured``).
    """

    actor: DiffusionPolicy
    base: DiffusionPolicy
    critic: Critic
    scaler: RewardScaler
    config: PPOConfig
    capture: bool = True

    def __post_init__(self) -> None:
        config = self.config
        self.actor_optimizer, self.critic_optimizer = (
            torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=config.weight_decay, fused=True)
            for module, rate in (
                (self.actor, config.actor_learning_rate),
                (self.critic, config.critic_learning_rate),
            )
        )
        self._regularizer = CloningRegularizer(self.base, config)
        self._device = next(self.actor.parameters()).device
        self._chain = partial(_denoised, self.actor, self.base, config.ft_denoising_steps)
        on_gpu = self._device.type == "cuda"
        self._replayed = Captured(self._chain, "exploration") if on_gpu and self.capture else None
        steps = config.ft_denoising_steps
        self._clip = clip_schedule(
            steps, coef=config.clip_coef, base=config.clip_base, rate=config.clip_rate
        ).to(self._device)
        self._discount = denoising_discount(steps, config.gamma_denoising).to(self._device)
        k = chain_steps(steps, self._device)
        self._std = self.actor.schedule.floored_std(config.min_logprob_std)[k]

    @torch.no_grad()
    def explore(self, cond: Tensor, generator: torch.Generator) -> DenoisingChain:
        """A chain for each condition: the base's first denoising steps, then the actor's, which are kept.

        Args:
            cond: ``(n, C)``.
            generator: Draws the first chunks and the injected noise.
        """
        noise = sent(self.actor.unit_noise(len(cond), generator), cond.device)
        if self._replayed is None:
            return DenoisingChain(*self._chain(cond, noise))
        actions, mean = self._replayed(cond, noise)
        return DenoisingChain(actions.clone(), mean.clone())

    def update(
        self, rollouts: Rollouts, generator: torch.Generator, *, train_actor: bool = True
    ) -> dict[str, float]:
        """Train on one iteration of experience.

        Args:
            rollouts: Experience drawn with the present actor.
            generator: Shuffles minibatches and draws the regulariser's chains.
            train_actor: False trains the critic alone.

        Returns:
            Means over the gradient steps: policy_loss, value_loss, bc_loss, approx_kl, clip_fraction; and
            epochs, the passes that were made.

        Raises:
            FloatingPointError: If a loss is not finite.
        """
        targets = self.targets(rollouts)
        if train_actor:
            self.prepare(targets, generator)
        rows: list[dict[str, float]] = []
        steps, size = self.config.ft_denoising_steps, self.config.minibatch_samples
        epochs = 0
        while epochs < self.config.update_epochs:
            for batch in minibatches(len(targets.cond), steps, size, generator):
                placed = batch.to(self._device)
                rows.append(self.step(targets, placed, generator, train_actor=train_actor))
            epochs += 1
            limit = self.config.target_kl
            if limit is not None and rows[-1]["approx_kl"] > limit:
                break
        means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        return means | {"epochs": float(epochs)}

    @torch.no_grad()
    def targets(self, rollouts: Rollouts) -> Targets:
        """Advantages, value targets and old log-probabilities of an iteration."""
        config = self.config
        reward = rollouts.reward
        if config.reward_scaling:
            reward = self.scaler.scale(reward, rollouts.ended)
        advantage, value_target = gae(
            reward,
            self.critic(rollouts.cond),
            self.critic(rollouts.next_cond),
            rollouts.terminated,
            rollouts.truncated,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            bootstrap=config.bootstrap,
        )
        if config.normalize_advantage:
            advantage = normalized(advantage)
        chain = rollouts.flat_chain
        old = gaussian_log_prob(chain.actions[:, 1:], chain.mean, self._std[None])
        return Targets(
            rollouts.flat_cond, chain, self._clamped(old), advantage.flatten(), value_target.flatten()
        )

    def prepare(self, targets: Targets, generator: torch.Generator) -> None:
        """Compute what all steps of an iteration share; comes before steps that train the actor."""
        self._regularizer.prepare(targets.cond, targets.chain, generator)

    def step(
        self,
        targets: Targets,
        batch: Minibatch,
        generator: torch.Generator,
        *,
        train_actor: bool,
    ) -> dict[str, float]:
        """One gradient step on a minibatch.

        Args:
            targets: Of the iteration.
            batch: Transitions.
            generator: Draws the regulariser's chains.
            train_actor: False trains the critic alone.

        Returns:
            Losses and what to watch them by.

        Raises:
            FloatingPointError: If a loss is not finite.
        """
        values = self.backward(targets, batch, generator, train_actor=train_actor)
        for module, optimizer in self._trained(train_actor):
            if self.config.grad_clip_norm is not None:
                nn.utils.clip_grad_norm_(module.parameters(), self.config.grad_clip_norm)
            optimizer.step()
        return values

    def backward(
        self,
        targets: Targets,
        batch: Minibatch,
        generator: torch.Generator,
        *,
        train_actor: bool,
    ) -> dict[str, float]:
        """Gradients of a minibatch, left in the parameters; as :meth:`step`, which then uses them."""
        cond = targets.cond[batch.distinct]
        squared = (self.critic(cond) - targets.value_target[batch.distinct]) ** 2
        value_loss = (squared * batch.share).sum()
        metrics = {"value_loss": value_loss.detach()}
        loss = self.config.value_coef * value_loss
        if train_actor:
            scores = score(
                self.actor, self.actor.project(cond), targets.chain, batch, self.config.min_logprob_std
            )
            surrogate = policy_loss(
                self._clamped(scores.log_prob),
                targets.old_log_prob[batch.decision, batch.index],
                targets.advantage[batch.decision] * self._discount[batch.index],
                self._clip[batch.index],
            )
            bc_loss = self._regularizer.loss(self.actor, batch, scores.mean, generator)
            loss = loss + surrogate.loss + self.config.bc_coef * bc_loss
            metrics |= {
                "policy_loss": surrogate.loss.detach(),
                "approx_kl": surrogate.approx_kl,
                "clip_fraction": surrogate.clip_fraction,
                "bc_loss": bc_loss.detach(),
            }
        values = {"policy_loss": 0.0, "approx_kl": 0.0, "clip_fraction": 0.0, "bc_loss": 0.0}
        values |= {name: float(value) for name, value in metrics.items()}
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"the loss is {float(loss.detach())} ({values}); lower actor_learning_rate or "
                "critic_learning_rate, or look at the features"
            )
        for _, optimizer in self._trained(train_actor):
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return values

    def _trained(self, train_actor: bool) -> list[tuple[nn.Module, torch.optim.Optimizer]]:
        """What a gradient step changes."""
        critic = (self.critic, self.critic_optimizer)
        return [critic, (self.actor, self.actor_optimizer)] if train_actor else [critic]

    def _clamped(self, log_prob: Tensor) -> Tensor:
        low, high = self.config.logprob_clamp
        return clamped_log_prob(log_prob, low=low, high=high, act_steps=self.actor.config.act_steps)


def _denoised(
    actor: DiffusionPolicy, base: DiffusionPolicy, kept: int, cond: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Kept ends of the chains, and the means of their transitions."""
    chain = actor.denoise(cond, noise, deterministic=False, ft_denoising_steps=kept, base=base)
    return chain.actions, chain.mean


def make_learner(policy: DiffusionPolicy, config: PPOConfig, seed: int, *, capture: bool = True) -> Learner:
    """Frozen base, actor equal to it, and a seeded critic that shares the policy's statistics.

    Raises:
        ValueError: If more denoising steps are to be trained than the policy has.
    """
    trained, steps = config.ft_denoising_steps, policy.config.denoising_steps
    if trained > steps:
        raise ValueError(
            f"ft_denoising_steps {trained} is above the policy's denoising_steps {steps}; lower it"
        )
    base, actor = copy.deepcopy(policy).eval().requires_grad_(False), copy.deepcopy(policy).eval()
    critic = Critic(policy.cond_dim, config.critic_hidden, policy.standardizer)
    fan_in_uniform_(critic, seed)
    scaler = RewardScaler(config.reward_scaling_gamma, config.reward_clip)
    return Learner(actor, base, critic.to(next(policy.parameters()).device), scaler, config, capture)
