"""Configuration pages of fine-tuning in imagination and in the simulator."""

from dataclasses import replace
from typing import Literal, TypedDict

from pydantic import Field, model_validator

from wam.contracts import config


def decisions_per_episode(imagine_steps: int, act_steps: int) -> int:
    """Decisions in an imagined episode that is not solved before its end.

    Raises:
        ValueError: If ``imagine_steps`` is no multiple of ``act_steps``.
    """
    if act_steps < 1 or imagine_steps < 1 or imagine_steps % act_steps:
        raise ValueError(
            f"imagine_steps {imagine_steps} is not a multiple of act_steps {act_steps}: every decision "
            "executes act_steps actions; "
            f"set imagine_steps to {max(1, imagine_steps // max(1, act_steps)) * act_steps}"
        )
    return imagine_steps // act_steps


class ImaginedWays(TypedDict):
    """How actions are sent and the judge is asked in imagination; see ``ImaginedEnv``."""

    reward_steps: Literal["every", "last"]
    binarize_gripper: bool
    clip_action: bool
    command_response: float


@config
class PPOConfig:
    """Policy gradients through denoising, in the frozen world model (docs/published.md, PPO)."""

    iterations: int = Field(gt=0)
    """Rounds of imagining and updating; 768 published."""
    envs: int = Field(gt=0)
    """Imagined environments side by side; 50 published."""
    episodes_per_iteration: int = Field(gt=0)
    """Full-length episodes per environment and iteration, all started anew; 2 published."""
    imagine_steps: int = Field(default=72, gt=0)
    """Environment steps after which an episode is truncated; a multiple of the policy's ``act_steps``."""
    eval_every: int = Field(gt=0)
    """Iterations between evaluations; 25 published. Start and end are always evaluated."""
    chosen_in: Literal["simulator", "imagination"] = "simulator"
    """Where evaluations choose the policy: from the starts that ``evaluation.checkpoints_on`` names, in the
    simulator (published), or imagined, from the scenes that practice starts from: nothing real is seen."""
    checkpoint_every: int = Field(default=1, gt=0)
    """Iterations between saves of the state that a killed run resumes from."""

    reward_steps: Literal["every", "last"] = "every"
    """Imagined steps of a chunk that the judge looks at; "last" is published (fault B17)."""
    binarize_gripper: bool = True
    """Send the gripper's sign to the world model, as the simulator does; False is published (fault B9)."""
    clip_action: bool = True
    """Clip actions to [-1, 1] before the world model, as evaluation does; False is published."""
    command_response: float = Field(default=1.0, gt=0, le=1)
    """Share of the way to its target that the arm goes in one control step; 1, at once, is published. World
    models are trained on motions, policies send commands, and a real arm is a few of them behind."""
    bootstrap: Literal["final", "published"] = "final"
    """Advantages at a truncation: value of the final features, or of the next episode's start (fault B10)."""

    actor_learning_rate: float = Field(default=1e-5, gt=0)
    """Constant."""
    critic_learning_rate: float = Field(default=1e-3, gt=0)
    """Constant."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW, both networks."""
    grad_clip_norm: float | None = Field(default=None, gt=0)
    """Largest gradient norm of each network; None does not clip (published)."""
    critic_hidden: int = Field(gt=0)
    """Width of the critic's trunk; 256 published."""
    critic_warmup_iterations: int = Field(default=1, ge=0)
    """First iterations that train the critic alone."""

    gamma: float = Field(default=0.999, gt=0, le=1)
    """Discount per decision."""
    gae_lambda: float = Field(default=0.95, ge=0, le=1)
    """lambda of generalised advantage estimation."""
    normalize_advantage: bool = True
    """Zero mean and unit deviation over an iteration's decisions."""
    reward_scaling: bool = True
    """Divide rewards by the running deviation of discounted returns."""
    reward_scaling_gamma: float = Field(default=0.99, gt=0, le=1)
    """Discount of the returns whose deviation is tracked."""
    reward_clip: float = Field(default=10.0, gt=0)
    """Scaled rewards are clipped to plus and minus this."""

    update_epochs: int = Field(default=10, gt=0)
    """Passes over an iteration's samples."""
    minibatch: int = Field(default=7500, gt=0)
    """``minibatch_of`` per gradient step; fewer than twice as many are taken at once."""
    minibatch_of: Literal["samples", "decisions"] = "samples"
    """What ``minibatch`` counts: samples (decision x denoising step), or decisions with all their denoising
    steps, which is published: with 1,800 decisions 7,500 always means the whole batch (fault B11)."""
    value_coef: float = Field(default=0.5, ge=0)
    """Weight of the squared value error."""
    target_kl: float | None = Field(default=1.0, gt=0)
    """Stop an iteration's passes when the approximate KL exceeds this (nats)."""

    ft_denoising_steps: int = Field(default=10, gt=0)
    """n, last denoising steps that are trained; the base runs the others."""
    gamma_denoising: float = Field(default=0.99, gt=0, le=1)
    """Discount of the advantage per denoising step before the last."""
    min_logprob_std: float = Field(default=0.1, gt=0)
    """Floor of a transition's deviation in log-probabilities (action units)."""
    logprob_clamp: tuple[float, float] = (-5.0, 2.0)
    """Bounds of each element's log-probability (nats)."""
    clip_coef: float = Field(default=0.01, gt=0)
    """Ratio clip at the last denoising step."""
    clip_base: float = Field(default=0.001, gt=0)
    """Ratio clip at the first trained denoising step."""
    clip_rate: float = Field(default=3.0, gt=0)
    """Exponential rate between the two."""

    bc_coef: float = Field(default=0.0, ge=0)
    """Weight of the cloning regulariser; 0.025 in WAM, 0 in DiWA's published configurations."""
    bc_direction: Literal["forward", "reverse"] = "forward"
    """"forward": fit the actor to chains of the base (published code); "reverse": base likelihood of the
    actor's own transitions (paper)."""
    bc_draws: Literal["row", "observation", "iteration"] = "observation"
    """Base chains of the forward direction: for every sampled row (published), once per distinct observation,
    both anew at each gradient step, or once per distinct observation and iteration (cheapest)."""
    bc_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of those that enter a gradient step of the forward direction, drawn at random; 1 published."""

    @model_validator(mode="after")
    def _bounds(self) -> "PPOConfig":
        if self.logprob_clamp[0] >= self.logprob_clamp[1]:
            raise ValueError(f"logprob_clamp {self.logprob_clamp} must rise")
        if self.clip_base > self.clip_coef:
            raise ValueError(f"clip_base {self.clip_base} is above clip_coef {self.clip_coef}; swap them")
        return self

    @property
    def imagined_ways(self) -> ImaginedWays:
        """What practice and whoever checks it do alike."""
        return ImaginedWays(
            reward_steps=self.reward_steps,
            binarize_gripper=self.binarize_gripper,
            clip_action=self.clip_action,
            command_response=self.command_response,
        )

    @property
    def minibatch_samples(self) -> int:
        """Samples (decision x denoising step) per gradient step."""
        per_entry = self.ft_denoising_steps if self.minibatch_of == "decisions" else 1
        return self.minibatch * per_entry

    def decisions(self, act_steps: int) -> int:
        """Decisions of one environment in one iteration, for a policy that executes ``act_steps`` of a chunk.

        Raises:
            ValueError: If ``imagine_steps`` is no multiple of ``act_steps``.
        """
        return self.episodes_per_iteration * decisions_per_episode(self.imagine_steps, act_steps)


@config
class OnlineConfig:
    """The same fine-tuning in the simulator itself, to compare with: how much of it."""

    iterations: int = Field(gt=0)
    """Rounds of acting and updating."""
    envs: int = Field(gt=0)
    """Tables side by side."""
    episodes_per_iteration: int = Field(gt=0)
    """Full-length episodes per table and iteration, all started anew."""
    eval_every: int = Field(gt=0)
    """Iterations between evaluations from the selection starts. Start and end are always evaluated."""

    def applied(self, ppo: PPOConfig) -> PPOConfig:
        """The page ``ppo`` with these numbers; learning is the same, so that only the world differs."""
        return replace(
            ppo,
            iterations=self.iterations,
            envs=self.envs,
            episodes_per_iteration=self.episodes_per_iteration,
            eval_every=self.eval_every,
            chosen_in="simulator",
        )
