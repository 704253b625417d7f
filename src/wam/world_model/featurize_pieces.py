"""Features of recorded frames in pieces that other machines can take: so many whole episodes each.

A piece reads its own episodes from the store and no others. It filters the episodes that
``featurize_episodes`` filters side by side, with the same noise, so the features are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC
from wam.episodes.store import Episodes, EpisodeStore
from wam.parallel.map import Workers, map_pieces
from wam.training.checkpoint import Checkpoint
from wam.world_model.featurize import featurize_episodes
from wam.world_model.model import WorldModel

Features = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows ``(n,)`` of the store and their features ``(n, F)``."""


@dataclass(frozen=True)
class _Group:
    """Episodes that are filtered side by side."""

    store: Path
    episodes: tuple[int, ...]

    def __repr__(self) -> str:
        return f"{len(self.episodes)} episodes of {self.store}, first {self.episodes[0]}"


def featurize_store(
    world_model: Checkpoint, store: EpisodeStore, *, seed: int, batch: int, workers: Workers
) -> Iterator[Features]:
    """As ``featurize_episodes``, on the CPUs of workers.

    Args:
        world_model: Sent once, to all.
        store: At a path that all workers share.
        seed: Of the sampled states.
        batch: Episodes filtered side by side: those of a piece.
        workers: Who does the pieces.

    Yields:
        Rows and features; every row once.
    """
    lengths = store.read("episode_length")
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])  # as filter_stretches takes them
    places = range(0, len(order), batch)
    groups = [_Group(store.path.absolute(), tuple(order[first : first + batch])) for first in places]
    function = partial(_featurize_group, world_model, seed)
    yield from map_pieces(
        function, groups, workers=workers, description="featurise", unit="group of episodes"
    )


def _featurize_group(world_model: Checkpoint, seed: int, group: _Group) -> Features:
    episodes, rows = read_episodes(EpisodeStore(group.store), group.episodes)
    model = WorldModel.from_checkpoint(world_model)
    pieces = list(featurize_episodes(model, episodes, seed=seed, batch=len(group.episodes)))
    return rows[np.concatenate([own for own, _ in pieces])], np.concatenate([feat for _, feat in pieces])


def read_episodes(store: EpisodeStore, chosen: tuple[int, ...]) -> tuple[Episodes, NDArray[np.int64]]:
    """Some episodes of a store, with images, and the rows that their frames have there."""
    start, length = store.read("episode_start"), store.read("episode_length")
    spans = [slice(int(start[index]), int(start[index] + length[index])) for index in chosen]

    def read(name: str) -> NDArray[np.generic]:
        array = store.checked(name)
        return np.concatenate([np.asarray(array[span]) for span in spans])

    own = length[list(chosen)]
    episodes = Episodes(
        image_static=read(IMAGE_STATIC).astype(np.uint8, copy=False),
        image_gripper=read(IMAGE_GRIPPER).astype(np.uint8, copy=False),
        action=read("action").astype(np.float32),
        proprio=read("proprio").astype(np.float32, copy=False),
        robot_obs=read("robot_obs").astype(np.float64, copy=False),
        scene_state=read("scene_state").astype(np.float64, copy=False),
        is_first=read("is_first").astype(np.bool_, copy=False),
        frame_id=read("frame_id").astype(np.int64, copy=False),
        episode_start=np.cumsum(own) - own,
        episode_length=own,
        layout=None,
    )
    return episodes, np.concatenate([np.arange(span.start, span.stop) for span in spans])
