"""DPPO (irom-princeton/dppo): its PPO over denoising chains, with the weights of one of our policies.

Needs its checkout only. It is called without its agent, which goes through NumPy and favours it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers import stand_in, use_folder
from wam.policy.critic import Critic
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.noise_schedule import NoiseSchedule
from wam.rl.config import PPOConfig
from wam.rl.update import Targets


def build(folder: Path, policy: DiffusionPolicy, critic: Critic, config: PPOConfig) -> Any:
    """Its model on the sizes, settings and weights of ours; its own normalisation of advantages is off."""
    use_folder(folder, "model/diffusion/diffusion_ppo.py")
    stand_in("einops")
    stand_in("einops.layers")
    stand_in("einops.layers.torch", Rearrange=None)
    from model.common.critic import CriticObs  # noqa: PLC0415 - only now is it on the path
    from model.diffusion.diffusion_ppo import PPODiffusion  # noqa: PLC0415
    from model.diffusion.mlp_diffusion import DiffusionMLP  # noqa: PLC0415

    page = policy.config
    style = {"activation_type": "Mish", "residual_style": True}
    sizes = {"action_dim": page.action_dim, "horizon_steps": page.horizon_steps}
    actor = DiffusionMLP(
        **sizes, cond_dim=policy.cond_dim, time_dim=page.time_dim, mlp_dims=3 * [page.hidden], **style
    )
    values = CriticObs(cond_dim=policy.cond_dim, mlp_dims=3 * [config.critic_hidden], **style)
    _copy_trunk(policy.denoiser.trunk, actor.mlp_mean)
    for ours, theirs in ((0, 1), (2, 3)):
        actor.time_embedding[theirs].load_state_dict(policy.denoiser.step_embedding[ours].state_dict())
    _copy_trunk(critic.trunk, values.Q1)
    model = PPODiffusion(
        **sizes,
        gamma_denoising=config.gamma_denoising,
        clip_ploss_coef=config.clip_coef,
        clip_ploss_coef_base=config.clip_base,
        clip_ploss_coef_rate=config.clip_rate,
        norm_adv=False,
        actor=actor,
        critic=values,
        ft_denoising_steps=config.ft_denoising_steps,
        obs_dim=policy.cond_dim,
        device="cpu",
        denoised_clip_value=1.0,
        randn_clip_value=page.noise_clip,
        denoising_steps=page.denoising_steps,
        min_sampling_denoising_std=page.min_sampling_std,
        min_logprob_denoising_std=config.min_logprob_std,
    )
    _copy_schedule(policy.schedule, model)
    return model


def _copy_schedule(ours: NoiseSchedule, theirs: Any) -> None:
    """Coefficients that were rounded once: its own are products of rounded ones, 1e-5 apart."""
    theirs.sqrt_recip_alphas_cumprod = 1 / ours.signal
    theirs.sqrt_recipm1_alphas_cumprod = ours.noise / ours.signal
    theirs.ddpm_mu_coef1, theirs.ddpm_mu_coef2 = ours.clean_coef, ours.noisy_coef
    theirs.ddpm_logvar_clipped = 2 * ours.posterior_std.clamp_min(1e-10).log()


@torch.no_grad()
def _copy_trunk(ours: Any, theirs: Any) -> None:
    first = theirs.layers[0]
    parts = [part for part in (ours.input.changing, ours.input.static) if part is not None]
    first.weight.copy_(torch.cat(parts, 1))
    first.bias.copy_(ours.input.bias)
    for block, layer in zip(ours.blocks, theirs.layers[1:], strict=False):
        layer.l1.load_state_dict(block.first.state_dict())
        layer.l2.load_state_dict(block.second.state_dict())
    theirs.layers[1 + len(ours.blocks)].load_state_dict(ours.output.state_dict())


def optimizers(model: Any, config: PPOConfig) -> list[torch.optim.Optimizer]:
    """AdamW for actor and critic, as its agent makes them."""
    return [
        torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=config.weight_decay)
        for module, rate in (
            (model.actor_ft, config.actor_learning_rate),
            (model.critic, config.critic_learning_rate),
        )
    ]


def raw_log_prob(model: Any, targets: Targets) -> Tensor:
    """Log-probabilities of every element under the policy that drew the chains, ``(N, n, Hs, A)``."""
    with torch.no_grad():
        found: Tensor = model.get_logprobs({"state": targets.cond[:, None]}, targets.chain.actions)
    return found.reshape(targets.chain.mean.shape)


def loss(
    model: Any, targets: Targets, old: Tensor, rows: Tensor, *, config: PPOConfig, act_steps: int
) -> Tensor:
    """Its loss of the transitions in ``rows``, weighed as ours is."""
    decision, index = rows // config.ft_denoising_steps, rows % config.ft_denoising_steps
    parts = model.loss(
        {"state": targets.cond[decision][:, None]},
        targets.chain.actions[decision, index],
        targets.chain.actions[decision, index + 1],
        index,
        targets.value_target[decision],
        targets.value_target[decision],
        targets.advantage[decision],
        old[decision, index],
        use_bc_loss=config.bc_coef > 0,
        reward_horizon=act_steps,
    )
    # its value loss has a half of its own
    total: Tensor = parts[0] + 2 * config.value_coef * parts[2] + config.bc_coef * parts[6]
    return total


def update(
    model: Any, targets: Targets, old: Tensor, rows: Tensor, *, config: PPOConfig, act_steps: int
) -> Callable[[], None]:
    """One gradient step on actor and critic."""
    steps = optimizers(model, config)

    def work() -> None:
        value = loss(model, targets, old, rows, config=config, act_steps=act_steps)
        for optimizer in steps:
            optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        for optimizer in steps:
            optimizer.step()

    return work


def act(model: Any, feat: Tensor) -> Tensor:
    """Chunks of actions for features, exploring."""
    with torch.no_grad():
        chunk: Tensor = model(cond={"state": feat[:, None]}, deterministic=False).trajectories
    return chunk


def gradients(model: Any, policy: DiffusionPolicy) -> dict[str, Tensor]:
    """Gradients of its trained actor, by the names of ours."""
    width = policy.denoiser.trunk.changing_dim
    layers = model.actor_ft.mlp_mean.layers
    found: dict[str, Tensor] = {}
    first: nn.Linear = layers[0]
    assert first.weight.grad is not None
    found["denoiser.trunk.input.changing"] = first.weight.grad[:, :width]
    found["denoiser.trunk.input.static"] = first.weight.grad[:, width:]
    assert first.bias.grad is not None
    found["denoiser.trunk.input.bias"] = first.bias.grad
    found["denoiser.trunk.blocks.0.first.weight"] = layers[1].l1.weight.grad
    found["denoiser.trunk.blocks.0.second.weight"] = layers[1].l2.weight.grad
    found["denoiser.trunk.output.weight"] = layers[2].weight.grad
    found["denoiser.step_embedding.0.weight"] = model.actor_ft.time_embedding[1].weight.grad
    return found
