"""Reads where colours are out of features: a loss in which a button counts as much as a table."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wam.nn.init import build_empty
from wam.nn.mlp import MLP


class ColorDecoder(nn.Module):
    """Reads the colour moments of both cameras out of features.

    Args:
        feat_dim: Width F of the features.
        hidden: Hidden widths of the layers that read them.
        moments: M, of both cameras together.

    Attributes:
        moments: The same.
    """

    def __init__(self, feat_dim: int, hidden: Sequence[int], moments: int) -> None:
        super().__init__()
        self.moments = moments
        self.from_feat = cast(MLP, build_empty(lambda: MLP(feat_dim, hidden, moments)))

    @torch.no_grad()
    def silence_(self) -> None:
        """Let the reader say 0 of everything."""
        last = cast(nn.Linear, self.from_feat[-1])
        last.weight.zero_()
        last.bias.zero_()


def color_loss(
    read: Float[Tensor, "N M"], target: Float[Tensor, "N M"], weight: Float[Tensor, "N M"]
) -> Float[Tensor, ""]:
    """Half the squared error, summed over moments and cameras, mean over frames.

    Args:
        read: What was read of the features, see ``WorldModel.read_colors``.
        target: As ``Colors`` gives them.
        weight: Same.
    """
    return 0.5 * (weight * (read - target)).square().sum(dim=-1).mean()
