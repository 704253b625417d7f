"""What a policy is shown of a state: the one place that makes its condition.

::

    features               [h ; z]        as published
    features_and_proprio   [h ; z ; p]

p is proprioception as the world model's encoder is given it, normalised: on a real frame the measured one, in
imagination what the world model's decoder reads from h and z. Judges of success and probes are shown features
alone; these come first in both, so whoever is shown a condition takes the first F columns.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from wam.contracts import PROPRIO_DIM
from wam.policy.config import Sees
from wam.world_model.model import WorldModel

MeasuredSight = Callable[[Tensor, Tensor], Tensor]
"""Condition ``(n, C)`` from features ``(n, F)`` and raw proprioception ``(n, 18)`` of the same frames."""
ImaginedSight = Callable[[Tensor], Tensor]
"""Condition ``(n, C)`` from features ``(n, F)``, of which no frame exists."""


def condition_dim(sees: Sees, feat_dim: int) -> int:
    """C, width of the condition, for features F wide."""
    return feat_dim if sees == "features" else feat_dim + PROPRIO_DIM


def features_alone(feat: Float[Tensor, "n F"]) -> Float[Tensor, "n F"]:
    """The published sight: nothing but features, measured or imagined."""
    return feat


def measured_sight(sees: Sees, world_model: WorldModel) -> MeasuredSight:
    """How a policy sees real frames.

    Args:
        sees: What of them.
        world_model: Whose features they are; gives the range of each component of proprioception.
    """
    if sees == "features":
        return lambda feat, _: feat
    normalizer = world_model.proprio_normalizer
    return lambda feat, proprio: torch.cat((feat, normalizer(proprio)), -1)


def imagined_sight(sees: Sees, world_model: object) -> ImaginedSight:
    """How a policy sees imagined states.

    Args:
        sees: What of them.
        world_model: In evaluation mode; reads proprioception from features if the policy is to see it.

    Raises:
        ValueError: If it cannot.
    """
    if sees == "features":
        return features_alone
    decoder = world_model.proprio_decoder if isinstance(world_model, WorldModel) else None
    if decoder is None:
        raise ValueError(no_decoder(sees, "this world model"))
    return lambda feat: torch.cat((feat, decoder(feat)), -1)


def no_decoder(sees: Sees, whose: str) -> str:
    """What to tell who wants a policy to see what imagination cannot show."""
    return (
        f"policy.sees is {sees!r}, but no proprioception is decoded by {whose}, so imagination has none to "
        "show; set world_model.losses.proprio_coef above 0 and train again, or set policy.sees to 'features' "
        "and clone again"
    )
