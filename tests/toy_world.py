"""A tiny world: few short episodes of random frames, and the smallest world models."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from wam.contracts import config_from_dict
from wam.episodes.store import Episodes
from wam.seeding import numpy_generator, torch_generator
from wam.world_model.config import WorldModelConfig
from wam.world_model.model import WorldModel
from wam.world_model.training_config import WorldModelTrainingConfig


def tiny_config(
    *,
    action_coef: float = 10.0,
    carries_arm: bool = False,
    measures_colors: bool = False,
    carries_outset: bool = False,
    carries_scene: bool = False,
    prior_sees_carried: bool = False,
    corrects_painted_colors: bool = False,
    **losses: Any,
) -> WorldModelConfig:
    """The smallest world model: embed 64 + 18, deter 12, 3 categoricals of 4 classes."""
    page = {
        "encoder": {"cnn_depth": 2, "measures_colors": measures_colors},
        "rssm": {
            "deter": 12,
            "stoch_dim": 3,
            "stoch_classes": 4,
            "hidden": 10,
            "carries_arm": carries_arm,
            "carries_outset": carries_outset,
            "carries_scene": carries_scene,
            "prior_sees_carried": prior_sees_carried,
            "scene_hidden": [8],
        },
        "decoder": {
            "cnn_depth": 2,
            "proprio_hidden": [8],
            "corrects_painted_colors": corrects_painted_colors,
        },
        "inverse_dynamics": {"hidden": [16]},
        "losses": {"kl_coef": 0.3, "action_coef": action_coef, **losses},
    }
    return config_from_dict(WorldModelConfig, page)


CARRIED = {
    "published": {},
    "carries_arm": {"carries_arm": True},
    "carries_places": {"carries_arm": True, "measures_colors": True, "carries_outset": True},
    "carries_all": {
        "carries_arm": True,
        "measures_colors": True,
        "carries_outset": True,
        "carries_scene": True,
    },
    "prior_sees_all": {
        "carries_arm": True,
        "measures_colors": True,
        "carries_outset": True,
        "carries_scene": True,
        "prior_sees_carried": True,
    },
}
"""What a state may carry besides h and z, as options of ``tiny_config``."""

LIKE_BASE: dict[str, Any] = CARRIED["prior_sees_all"] | {"corrects_painted_colors": True, "color_coef": 1.0}
"""All that ``conf/base`` adds to the published model, as such options."""


def tiny_training(**values: Any) -> WorldModelTrainingConfig:
    """Three streams of eight frames, twelve steps."""
    page: dict[str, Any] = {
        "steps": 12,
        "batch": 3,
        "sequence_steps": 8,
        "decode_fraction": 0.5,
        "optimizer": {"learning_rate": 1e-3, "grad_clip_norm": 100.0},
        "log_every": 4,
        "checkpoint_every": 4,
        "scene": {"steps": 3, "batch": 8, "most_age": 4, "optimizer": {"learning_rate": 1e-3}},
    }
    return config_from_dict(WorldModelTrainingConfig, page | values)


def tiny_world_model(**options: Any) -> WorldModel:
    """A world model in evaluation mode whose weights are large enough to react to its inputs."""
    model = WorldModel(tiny_config(**options), seed=1).eval().requires_grad_(False)
    for name, value in model.named_parameters():
        if name.endswith("out.weight"):
            value.mul_(8.0)
    return model


def random_batch(
    batch: int, steps: int, *, seed: int = 0, starts: Sequence[tuple[int, int]] = ()
) -> dict[str, Any]:
    """Random frames; episodes start at the (stream, frame) pairs ``starts``."""
    generator = torch_generator(seed, "batch")

    def image() -> torch.Tensor:
        return torch.randint(0, 256, (batch, steps, 64, 64, 3), dtype=torch.uint8, generator=generator)

    action = torch.rand(batch, steps, 7, generator=generator) * 2 - 1
    is_first = torch.zeros(batch, steps, dtype=torch.bool)
    for place in starts:
        is_first[place] = True
    return {
        "image_static": image(),
        "image_gripper": image(),
        "proprio": torch.rand(batch, steps, 18, generator=generator),
        "action": action,
        "prev_action": torch.roll(action, 1, dims=1),
        "is_first": is_first,
    }


def toy_episodes(lengths: Sequence[int] = (20, 13, 26), *, seed: int = 0) -> Episodes:
    """Episodes of random frames; the static picture brightens along an episode."""
    rng = numpy_generator(seed, "toy episodes")
    length = np.asarray(lengths, np.int64)
    count, start = int(length.sum()), np.cumsum(length) - length
    step = np.concatenate([np.arange(n) for n in lengths])
    image = rng.integers(0, 100, (2, count, 64, 64, 3), dtype=np.uint8)
    image[0] += (5 * step[:, None, None, None]).astype(np.uint8)
    return Episodes(
        image_static=image[0],
        image_gripper=image[1],
        action=rng.uniform(-1, 1, (count, 7)).astype(np.float32),
        proprio=rng.normal(size=(count, 18)).astype(np.float32),
        robot_obs=rng.normal(size=(count, 15)),
        scene_state=rng.normal(size=(count, 24)),
        is_first=np.isin(np.arange(count), start),
        frame_id=np.arange(count, dtype=np.int64) + 1000,
        episode_start=start,
        episode_length=length,
        layout=None,
    )


def only_episode(episodes: Episodes, index: int) -> Episodes:
    """A store with one of the episodes alone."""
    start, length = int(episodes.episode_start[index]), int(episodes.episode_length[index])
    rows = slice(start, start + length)
    names = (
        "image_static",
        "image_gripper",
        "action",
        "proprio",
        "robot_obs",
        "scene_state",
        "is_first",
        "frame_id",
    )
    return replace(
        episodes,
        **{name: getattr(episodes, name)[rows] for name in names},
        episode_start=np.zeros(1, np.int64),
        episode_length=np.array([length]),
    )
