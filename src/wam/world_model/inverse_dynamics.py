"""The head that makes DreamerV2 a world-action model: which action lies between two frames?

    embed[t] --+
               +--> MLP --> action[t]        (WAM, equation for a_t; trained with an L1 loss)
    embed[t+1]-+

It reads embeddings, not features: ``feat`` already holds the action through the GRU.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wam.contracts import ACTION_DIM
from wam.nn.mlp import MLP
from wam.world_model.config import InverseDynamicsConfig


class InverseDynamics(nn.Module):
    """The head.

    Args:
        config: Widths and input.
        embed_dim: Width E of the embeddings.
        image_dim: Width of their leading, image part.
    """

    def __init__(self, config: InverseDynamicsConfig, embed_dim: int, image_dim: int) -> None:
        super().__init__()
        self.config = config
        self.used = image_dim if config.input == "image" else embed_dim
        self.mlp = MLP(2 * self.used, config.hidden, ACTION_DIM)

    def forward(self, embed: Float[Tensor, "B T E"]) -> Float[Tensor, "B T-1 A"]:
        """Predict ``action[t]`` for all but the last frame of each window."""
        used = embed[..., : self.used]
        predicted: Tensor = self.mlp(torch.cat([used[:, :-1], used[:, 1:]], dim=-1))
        return predicted

    def loss(
        self,
        embed: Float[Tensor, "B T E"],
        action: Float[Tensor, "B T A"],
        is_first: Bool[Tensor, "B T"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Absolute error over the pairs that lie within one episode.

        Args:
            embed: Of the frames.
            action: Taken at the frames.
            is_first: True starts of episodes; the pair that ends there is left out.

        Returns:
            The loss (mean over pairs, components reduced as configured), and the mean absolute error,
            detached. Both are 0 if no pair is left.
        """
        valid = (~is_first[:, 1:]).to(embed.dtype)
        pairs = valid.sum().clamp(min=1.0)
        error = ((self(embed) - action[:, :-1]).abs().sum(dim=-1) * valid).sum() / pairs
        mean_error = error / ACTION_DIM
        return (error if self.config.reduction == "sum" else mean_error), mean_error.detach()
