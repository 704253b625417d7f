"""DiffusionMLP: predicts the noise in an action chunk, or the clean one, from chunk, step and condition."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wam.nn.residual_mlp import ResidualMLP
from wam.policy.config import DiffusionConfig


def sinusoidal_embedding(steps: int, dim: int) -> Float[Tensor, "K dim"]:
    """Sines, then cosines, of the integers 0 .. ``steps`` - 1 at frequencies from 1 down to 1e-4.

    Args:
        steps: K, number of denoising steps.
        dim: Even width, at least 4.

    Source:
        Vaswani et al. 2017, section 3.5; docs/published.md, cloning.
    """
    half = dim // 2
    frequency = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10_000) / (half - 1)))
    angle = torch.arange(steps, dtype=torch.float64)[:, None] * frequency[None]
    return torch.cat((angle.sin(), angle.cos()), -1).float()


class DiffusionMLP(nn.Module):
    """The published denoiser: ``[noisy chunk ; step embedding ; condition]`` to a chunk, by a residual MLP.

    With a condition of 2048, a width of 512 and chunks of 4 x 7 it has 1,612,364 parameters.

    Args:
        cond_dim: C, width of the condition.
        config: Sizes.

    Source:
        docs/published.md, cloning.
    """

    step_table: Tensor

    def __init__(self, cond_dim: int, config: DiffusionConfig) -> None:
        super().__init__()
        self.chunk_shape = (config.horizon_steps, config.action_dim)
        chunk_dim = config.horizon_steps * config.action_dim
        table = sinusoidal_embedding(config.denoising_steps, config.time_dim)
        self.register_buffer("step_table", table, persistent=False)
        self.step_embedding = nn.Sequential(
            nn.Linear(config.time_dim, 2 * config.time_dim),
            nn.Mish(),
            nn.Linear(2 * config.time_dim, config.time_dim),
        )
        self.trunk = ResidualMLP(
            changing_dim=chunk_dim + config.time_dim,
            static_dim=cond_dim,
            hidden=config.hidden,
            output_dim=chunk_dim,
            blocks=config.residual_blocks,
        )

    def project_condition(self, cond: Float[Tensor, "*B C"]) -> Float[Tensor, "*B hidden"]:
        """Share of the first layer from the condition: the same for every denoising step."""
        return self.trunk.project_static(cond)

    def project_steps(self) -> Float[Tensor, "K hidden"]:
        """Share of the first layer from each denoising step: the same for every chunk."""
        chunk_dim = math.prod(self.chunk_shape)
        return nn.functional.linear(self.step_embedding(self.step_table), self._changing[:, chunk_dim:])

    def forward(
        self, noisy: Float[Tensor, "*B Hs A"], projected: Float[Tensor, "*#B hidden"]
    ) -> Float[Tensor, "*B Hs A"]:
        """What the configuration ``predicts`` of ``noisy``: the unit noise in it, or the clean chunk.

        Args:
            noisy: Noisy chunks.
            projected: :meth:`project_condition` plus the row of :meth:`project_steps`; may broadcast over the
                batch.
        """
        chunk = noisy.flatten(-2)
        x = nn.functional.linear(chunk, self._changing[:, : chunk.shape[-1]]) + projected
        predicted: Tensor = self.trunk.after_input(x)
        return predicted.reshape(noisy.shape)

    @property
    def _changing(self) -> nn.Parameter:
        weight = self.trunk.input.changing
        assert weight is not None, "the trunk is built with a changing part"
        return weight
