"""What a policy is shown of a state: the one place that makes its condition.

::

    features               f             as published
    features_and_proprio   [f ; p]
    colors_and_proprio     [c ; p]
    painted_and_proprio    [d ; p]
    scene_and_proprio      [s ; l ; p]

f are the features: [h ; z], and what else the state carries. p is proprioception as the world model's encoder
is given it, normalised: on a real frame the measured one, in imagination the arm that the state carries, or
else what the world model's decoder reads from f. c is the mass and the centre of each colour of both cameras,
as the world model's decoder reads them from f: a few numbers that were learned on every layout of play, where
the demonstrations of a task show fifty. d are the same as they are painted from the outset, scene and arm
that the state carries. s is that scene, and l are the places where hands move things, told from s and the
outset. Who sees d, s and l alone sees nothing of h and z, and does not tell world models apart. All but p is
made of f in the same way in both worlds: policies that were shown colours read on real frames, and painted
in imagination, were imagined too strictly at every task (decision 25). Judges of success and probes are shown
f, whatever the policy sees.
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
from wam.world_model.contact_places import AXES
from wam.world_model.model import WorldModel
from wam.world_model.scene import JOINTS, SCENE_DIM, SceneTrack
from wam.world_model.state import all_of

MeasuredSight = Callable[[Tensor, Tensor], Tensor]
"""Condition ``(n, C)`` from features ``(n, F)`` and raw proprioception ``(n, 18)`` of the same frames."""
ImaginedSight = Callable[[Tensor], Tensor]
"""Condition ``(n, C)`` from features ``(n, F)``, of which no frame exists."""

SHOWN: Final[Mapping[Sees, tuple[str, ...]]] = {
    "features": ("features",),
    "features_and_proprio": ("features", "proprio"),
    "colors_and_proprio": ("color", "proprio"),
    "painted_and_proprio": ("painted", "proprio"),
    "scene_and_proprio": ("scene", "proprio"),
}
"""What is shown of a state, in its order. All but features must be decoded or carried, so that imagination
can show it."""


def condition_parts(sees: Sees, world_model: WorldModel) -> tuple[int, ...]:
    """Widths of what the condition is made of, in its order; together they are C.

    Args:
        sees: What is shown.
        world_model: Whose features they are.

    Raises:
        ValueError: If colours are to be shown and none are decoded, or a scene and none is carried.
    """
    return tuple(width for kind in SHOWN[sees] for width in _widths(kind, sees, world_model))


def _widths(kind: str, sees: Sees, world_model: WorldModel) -> tuple[int, ...]:
    if kind == "features":
        return world_model.config.feat_parts
    if kind == "color":
        return (_color_decoder(sees, world_model).moments,)
    if kind == "painted":
        return (_scene_track(sees, world_model).moments,)
    return (SCENE_DIM, JOINTS * AXES) if kind == "scene" else (PROPRIO_DIM,)


def features_alone(feat: Float[Tensor, "n F"]) -> Float[Tensor, "n F"]:
    """The published sight: nothing but features, measured or imagined."""
    return feat


def measured_sight(sees: Sees, world_model: WorldModel) -> MeasuredSight:
    """How a policy sees real frames.

    Args:
        sees: What of them.
        world_model: Whose features they are; gives the range of each component of proprioception.

    Raises:
        ValueError: If colours are to be shown and none are decoded, or a scene and none is carried.
    """
    if sees == "features":
        return lambda feat, _: feat
    shown = [_reader(kind, sees, world_model) for kind in SHOWN[sees] if kind != "proprio"]
    normalizer = world_model.proprio_normalizer
    return lambda feat, proprio: torch.cat([*(read(feat) for read in shown), normalizer(proprio)], -1)


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
    shown = [_reader(kind, sees, world_model) for kind in SHOWN[sees] if kind != "proprio"]
    proprio = _arm_reader(sees, world_model)
    return lambda feat: torch.cat([*(read(feat) for read in shown), proprio(feat)], -1)


def shows_carried_alone(sees: Sees, world_model: WorldModel) -> bool:
    """Whether what is shown of imagined states hangs on what they carry, and on nothing of h and z."""
    return world_model.rssm.scene_track is not None and set(SHOWN[sees]) <= {"painted", "scene", "proprio"}


def _reader(kind: str, sees: Sees, world_model: WorldModel) -> ImaginedSight:
    """One kind of what is shown beside proprioception, from features."""
    if kind == "features":
        return features_alone
    if kind == "color":
        _color_decoder(sees, world_model)  # refuses where there is none
        return world_model.read_colors
    track = _scene_track(sees, world_model)
    if kind == "painted":
        return world_model.rssm.painted

    def scene_and_places(feat: Tensor) -> Tensor:
        _, outset, scene = all_of(world_model.state_from_feat(feat).carried)
        places = track.places(track.known(scene, outset)).flatten(start_dim=-2)
        return torch.cat((scene, places), dim=-1)

    return scene_and_places


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


def _scene_track(sees: Sees, world_model: WorldModel) -> SceneTrack:
    if world_model.rssm.scene_track is None:
        raise ValueError(no_decoder(sees, ["scene"], "this world model"))
    return world_model.rssm.scene_track


def missing_decoders(sees: Sees, model: WorldModelConfig, *, imagined: bool) -> list[str]:
    """Decoders that a world model lacks to show it; see ``SHOWN``.

    Args:
        sees: What is shown.
        model: The world model's page.
        imagined: Whether in imagination too: on real frames proprioception is measured.
    """
    found = {
        "proprio": not imagined or model.rssm.carries_arm or model.losses.proprio_coef > 0,
        "color": model.losses.color_coef > 0,
        "painted": model.rssm.carries_scene,
        "scene": model.rssm.carries_scene,
    }
    return [name for name in SHOWN[sees] if name != "features" and not found[name]]


def no_decoder(sees: Sees, missing: Sequence[str], whose: str) -> str:
    """What to tell who wants a policy to see what a world model cannot show."""
    if {"scene", "painted"} & set(missing):
        lacks, remedy = "carries no scene", "world_model.rssm.carries_scene to true"
    else:
        lacks = f"decodes no {' and no '.join(missing)}"
        remedy = " and ".join(f"world_model.losses.{name}_coef" for name in missing) + " above 0"
    return (
        f"policy.sees is {sees!r}, but {whose} {lacks}; set {remedy} and train again, or set policy.sees to "
        "'features' and clone again"
    )
