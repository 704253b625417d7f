"""Reads where colours are out of features: a loss in which a button counts as much as a table."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wam.nn.init import build_empty
from wam.nn.mlp import MLP


class ColorDecoder(nn.Module):
    """Reads the colour moments of both cameras out of features, and out of embeddings that do not hold them.

    The second head is for the encoder, which learns from it in fewer steps than through sampled states.

    Args:
        feat_dim: Width F of the features.
        embed_dim: Width E of the embeddings, or absent where they hold the moments as measured.
        hidden: Hidden widths of the layers that read them.
        moments: M, of both cameras together.

    Attributes:
        moments: The same.
    """

    def __init__(self, feat_dim: int, embed_dim: int | None, hidden: Sequence[int], moments: int) -> None:
        super().__init__()
        self.moments = moments
        self.from_feat = cast(MLP, build_empty(lambda: MLP(feat_dim, hidden, moments)))
        self.from_embed: MLP | None = None
        if embed_dim is not None:
            self.from_embed = cast(MLP, build_empty(lambda: MLP(embed_dim, hidden, moments)))

    @torch.no_grad()
    def silence_(self) -> None:
        """Let the reader of features say 0 of everything."""
        last = cast(nn.Linear, self.from_feat[-1])
        last.weight.zero_()
        last.bias.zero_()

    def losses(
        self,
        read: Float[Tensor, "N M"],
        embed: Float[Tensor, "N E"],
        target: Float[Tensor, "N M"],
        weight: Float[Tensor, "N M"],
    ) -> dict[str, Float[Tensor, ""]]:
        """Half the squared error of each head, summed over moments and cameras, mean over frames.

        Args:
            read: What was read of the features, see ``WorldModel.read_colors``.
            embed: Embeddings.
            target: As ``Colors`` gives them.
            weight: Same.

        Returns:
            The loss of the features, ``color``, and where there is such a head that of the embeddings,
            ``embed_color``.
        """
        found = {"color": _half_square(weight * (read - target))}
        if self.from_embed is not None:
            found["embed_color"] = _half_square(weight * (self.from_embed(embed) - target))
        return found


def _half_square(error: Tensor) -> Tensor:
    return 0.5 * error.square().sum(dim=-1).mean()
