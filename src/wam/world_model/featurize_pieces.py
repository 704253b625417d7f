"""Features of recorded frames in pieces that other machines can take: so many whole episodes each.

A piece reads its own episodes from the store and no others. It filters the episodes that
``featurize_episodes`` filters side by side, with the same noise, so the features are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION, IMAGE_GRIPPER, IMAGE_STATIC, PROPRIO, ROBOT_OBS, SCENE_STATE
from wam.episodes.loaded import Episodes, episodes_at, rows_of
from wam.episodes.store import EpisodeStore
from wam.parallel.map import Workers, map_pieces
from wam.training.checkpoint import Checkpoint
from wam.world_model.featurize import featurize_episodes
from wam.world_model.model import WorldModel

Features = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows ``(n,)`` of the store and their features ``(n, F)``."""
FRAME_ARRAYS: Final = (IMAGE_STATIC, IMAGE_GRIPPER, ACTION, PROPRIO, ROBOT_OBS, SCENE_STATE)
"""What is read of the frames of a piece."""


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
    rows = rows_of(spans)
    arrays = {name: store.checked(name) for name in FRAME_ARRAYS}
    return episodes_at(arrays, spans, store.read("frame_id")[rows]), rows
