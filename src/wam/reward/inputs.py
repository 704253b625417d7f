"""What a judge of success is shown: one feature, or the feature beside the one its episode started with."""

import torch
from jaxtyping import Float
from torch import Tensor


def with_start(feat: Float[Tensor, "*B F"], start_feat: Float[Tensor, "*#B F"]) -> Float[Tensor, "*B F2"]:
    """``[feat_t ; feat_start]``: what is, beside what was when the episode started.

    Args:
        feat: Features to judge.
        start_feat: Feature of the first frame of the same episode, in the same context; leading axes
            broadcast against those of ``feat``.
    """
    return torch.cat((feat, start_feat.expand_as(feat)), -1)


def classifier_input(
    feat: Float[Tensor, "*B F"], start_feat: Float[Tensor, "*#B F"], *, sees_start: bool
) -> Float[Tensor, "*B I"]:
    """The input of a classifier that sees the start of the episode, or of one that does not.

    Args:
        feat: As in :func:`with_start`.
        start_feat: As there; unused without ``sees_start``.
        sees_start: The classifier's setting.
    """
    return with_start(feat, start_feat) if sees_start else feat


def input_width(feat_dim: int, *, sees_start: bool) -> int:
    """Width I of the input for features F wide: 2F with the start, else F."""
    return 2 * feat_dim if sees_start else feat_dim
