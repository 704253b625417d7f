"""A fine-tuned policy: a frozen base runs the first denoising steps, the trained actor the last ones."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wam.contracts import config_from_dict, config_to_dict
from wam.policy.config import DiffusionConfig, Sees
from wam.policy.diffusion import DiffusionPolicy
from wam.training.checkpoint import Checkpoint

KIND = "fine_tuned_policy"
"""Kind of the checkpoint of a fine-tuned policy."""


class FineTunedPolicy(nn.Module):
    """Base for denoising steps K - 1 .. n, actor for n - 1 .. 0; samples like any policy.

    Args:
        base: Cloned policy, never trained further.
        actor: Its fine-tuned copy.
        ft_denoising_steps: n, number of steps the actor runs; 10 published.

    Source:
        docs/published.md, PPO.
    """

    def __init__(self, base: DiffusionPolicy, actor: DiffusionPolicy, ft_denoising_steps: int) -> None:
        super().__init__()
        if base.config != actor.config or base.cond_dim != actor.cond_dim:
            raise ValueError("base and actor differ in configuration; the actor must be a copy of the base")
        self.base = base
        self.actor = actor
        self.ft_denoising_steps = ft_denoising_steps

    @property
    def config(self) -> DiffusionConfig:
        """Sizes and process, the same for both parts."""
        return self.actor.config

    @property
    def cond_dim(self) -> int:
        """C, width of the condition."""
        return self.actor.cond_dim

    @property
    def sees(self) -> Sees:
        """What its condition is made of."""
        return self.config.sees

    @torch.no_grad()
    def sample(
        self, cond: Float[Tensor, "B C"], *, generator: torch.Generator, deterministic: bool
    ) -> Float[Tensor, "B Hs A"]:
        """Denoise one chunk per row; arguments and result as in :meth:`DiffusionPolicy.sample`."""
        chain = self.actor.sample_chain(
            cond,
            generator=generator,
            deterministic=deterministic,
            ft_denoising_steps=self.ft_denoising_steps,
            base=self.base,
        )
        return chain.chunk

    def to_checkpoint(self) -> Checkpoint:
        """Weights of both parts and the configuration; kind ``fine_tuned_policy``."""
        weights = {name: value.detach().clone() for name, value in self.state_dict().items()}
        page = {
            "cond_dim": self.cond_dim,
            "diffusion": config_to_dict(self.config),
            "ft_denoising_steps": self.ft_denoising_steps,
        }
        return Checkpoint(kind=KIND, weights=weights, config=page, extra={})

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "FineTunedPolicy":
        """Rebuild a fine-tuned policy.

        Raises:
            ValueError: If the checkpoint is of another kind.
        """
        checkpoint.expect(KIND)
        diffusion = config_from_dict(DiffusionConfig, checkpoint.config["diffusion"])
        base, actor = (DiffusionPolicy(int(checkpoint.config["cond_dim"]), diffusion) for _ in range(2))
        policy = cls(base, actor, int(checkpoint.config["ft_denoising_steps"]))
        checkpoint.load_into(policy)
        return policy
