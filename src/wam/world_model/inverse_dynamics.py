"""The head that makes DreamerV2 a world-action model: which action lies between two frames?

    embed[t] --+
               +--> MLP --> action[t]        (WAM, equation for a_t; trained with an L1 loss)
    embed[t+1]-+

It reads embeddings, not features: ``feat[t+1]`` already holds the action through the GRU. That is what the
input ``features`` shows.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wam.contracts import ACTION_DIM
from wam.nn.mlp import MLP
from wam.world_model.config import InverseDynamicsConfig


class InverseDynamics(nn.Module):
    """The head.

    Args:
        config: Widths, input, error, activation and dropout.
        embed_dim: Width E of the embeddings.
        image_dim: Width of their leading part, which is learned from the images.
        feat_dim: Width F of the features.
    """

    def __init__(self, config: InverseDynamicsConfig, embed_dim: int, image_dim: int, feat_dim: int) -> None:
        super().__init__()
        self.config = config
        self.used = {"embed": embed_dim, "image": image_dim, "features": feat_dim}[config.input]
        self.mlp = MLP(2 * self.used, config.hidden, ACTION_DIM, config.activation)

    def seen(self, embed: Float[Tensor, "B T E"], feat: Float[Tensor, "B T F"]) -> Float[Tensor, "B T used"]:
        """What the head sees of each frame, as ``config.input`` says."""
        return feat if self.config.input == "features" else embed[..., : self.used]

    def masks(self, streams: int, steps: int, generator: torch.Generator) -> list[Float[Tensor, "B T-1 H"]]:
        """Dropout's factors on each hidden layer for ``B`` streams of ``T`` frames.

        None, and no number is drawn, without dropout or in evaluation mode. They are drawn on the
        generator's device, as ``nn.distributions.gumbel_noise`` is.
        """
        if not (self.training and self.config.dropout):
            return []
        kept = 1 - self.config.dropout
        drawn = (
            torch.rand(streams, steps - 1, width, generator=generator, device=generator.device)
            for width in self.config.hidden
        )
        return [(values < kept).float() / kept for values in drawn]

    def forward(
        self, seen: Float[Tensor, "B T used"], masks: Sequence[Float[Tensor, "B T-1 H"]] = ()
    ) -> Float[Tensor, "B T-1 A"]:
        """Predict ``action[t]`` for all but the last frame of each window, with dropout's :meth:`masks`."""
        x, left = torch.cat([seen[:, :-1], seen[:, 1:]], dim=-1), iter(masks)
        for layer in self.mlp:
            x = layer(x)
            mask = None if isinstance(layer, nn.Linear) else next(left, None)
            x = x if mask is None else x * mask.to(x.device)
        return x

    def loss(
        self,
        seen: Float[Tensor, "B T used"],
        action: Float[Tensor, "B T A"],
        is_first: Bool[Tensor, "B T"],
        masks: Sequence[Float[Tensor, "B T-1 H"]] = (),
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Error over the pairs that lie within one episode.

        Args:
            seen: Of the frames.
            action: Taken at the frames.
            is_first: True starts of episodes; the pair that ends there is left out.
            masks: Of dropout, from :meth:`masks`.

        Returns:
            The loss (mean over pairs, components reduced as configured), and the mean absolute error,
            detached, whatever the loss is. Both are 0 if no pair is left.
        """
        valid = (~is_first[:, 1:]).to(seen.dtype)
        pairs = valid.sum().clamp(min=1.0)
        difference = self(seen, masks) - action[:, :-1]
        absolute = (difference.abs().sum(dim=-1) * valid).sum() / pairs
        error = absolute
        if self.config.error == "l2":
            error = (0.5 * difference.square().sum(dim=-1) * valid).sum() / pairs
        loss = error if self.config.reduction == "sum" else error / ACTION_DIM
        return loss, (absolute / ACTION_DIM).detach()
