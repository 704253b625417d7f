"""What a policy is shown of a state: the one place that makes its condition.

::

    features               f              as published
    features_and_proprio   [f ; p]
    colors_and_proprio     [c ; p]

f are the features: [h ; z], and what else the state carries. p is proprioception as the world model's encoder
is given it, normalised: on a real frame the measured one, in imagination the arm that the state carries, or
else what the world model's decoder reads from f. c is the mass and the centre of each colour of both cameras
as the world model's decoder reads them from f, in either world: a few numbers that were learned on every
layout of play, where the demonstrations of a task show fifty. Judges of success and probes are shown f,
whatever the policy sees.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from wam.contracts import PROPRIO_DIM
from wam.policy.config import Sees
from wam.world_model.color_decoder import ColorDecoder
from wam.world_model.config import WorldModelConfig
from wam.world_model.model import WorldModel

MeasuredSight = Callable[[Tensor, Tensor], Tensor]
"""Condition ``(n, C)`` from features ``(n, F)`` and raw proprioception ``(n, 18)`` of the same frames."""
ImaginedSight = Callable[[Tensor], Tensor]
"""Condition ``(n, C)`` from features ``(n, F)``, of which no frame exists."""

NEEDED: Final[Mapping[Sees, tuple[str, ...]]] = {
    "features": (),
    "features_and_proprio": ("proprio",),
    "colors_and_proprio": ("color", "proprio"),
}
"""Decoders without which imagination cannot show it, by the loss that trains them."""


def condition_dim(sees: Sees, world_model: WorldModel) -> int:
    """C, width of the condition.

    Args:
        sees: What is shown.
        world_model: Whose features they are.

    Raises:
        ValueError: If colours are to be shown and none are decoded.
    """
    if sees == "features":
        return world_model.feat_dim
    if sees == "features_and_proprio":
        return world_model.feat_dim + PROPRIO_DIM
    return _color_decoder(sees, world_model).moments + PROPRIO_DIM


def features_alone(feat: Float[Tensor, "n F"]) -> Float[Tensor, "n F"]:
    """The published sight: nothing but features, measured or imagined."""
    return feat


def measured_sight(sees: Sees, world_model: WorldModel) -> MeasuredSight:
    """How a policy sees real frames.

    Args:
        sees: What of them.
        world_model: Whose features they are; gives the range of each component of proprioception.

    Raises:
        ValueError: If colours are to be shown and none are decoded.
    """
    if sees == "features":
        return lambda feat, _: feat
    normalizer = world_model.proprio_normalizer
    if sees == "features_and_proprio":
        return lambda feat, proprio: torch.cat((feat, normalizer(proprio)), -1)
    colors = _color_decoder(sees, world_model).from_feat
    return lambda feat, proprio: torch.cat((colors(feat), normalizer(proprio)), -1)


def imagined_sight(sees: Sees, world_model: object) -> ImaginedSight:
    """How a policy sees imagined states.

    Args:
        sees: What of them.
        world_model: In evaluation mode; reads from features what else the policy is to see.

    Raises:
        TypeError: If more than features is to be seen, and this is no world model of ours.
        ValueError: If it cannot.
    """
    if sees == "features":
        return features_alone
    if not isinstance(world_model, WorldModel):
        raise TypeError(no_decoder(sees, ["proprio"], f"a {type(world_model).__name__}"))
    proprio = _arm_reader(sees, world_model)
    if sees == "features_and_proprio":
        return lambda feat: torch.cat((feat, proprio(feat)), -1)
    colors = _color_decoder(sees, world_model).from_feat
    return lambda feat: torch.cat((colors(feat), proprio(feat)), -1)


def _arm_reader(sees: Sees, world_model: WorldModel) -> ImaginedSight:
    """Normalised proprioception of features."""
    if world_model.config.rssm.carries_arm:
        return lambda feat: feat[..., -PROPRIO_DIM:]
    if world_model.proprio_decoder is None:
        raise ValueError(no_decoder(sees, ["proprio"], "this world model"))
    return world_model.proprio_decoder


def _color_decoder(sees: Sees, world_model: WorldModel) -> ColorDecoder:
    if world_model.color_decoder is None:
        raise ValueError(no_decoder(sees, ["color"], "this world model"))
    return world_model.color_decoder


def missing_decoders(sees: Sees, model: WorldModelConfig, *, imagined: bool) -> list[str]:
    """Decoders that a world model lacks to show it; see ``NEEDED``.

    Args:
        sees: What is shown.
        model: The world model's page.
        imagined: Whether in imagination too: on real frames proprioception is measured.
    """
    known = not imagined or model.rssm.carries_arm
    needed = [name for name in NEEDED[sees] if not (known and name == "proprio")]
    return [name for name in needed if getattr(model.losses, f"{name}_coef") == 0]


def no_decoder(sees: Sees, missing: Sequence[str], whose: str) -> str:
    """What to tell who wants a policy to see what a world model cannot show."""
    settings = " and ".join(f"world_model.losses.{name}_coef" for name in missing)
    return (
        f"policy.sees is {sees!r}, but {whose} decodes no {' and no '.join(missing)}; set {settings} above 0 "
        "and train again, or set policy.sees to 'features' and clone again"
    )
