"""The frames that probes are fitted to and judged on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.diagnostics.config import ProbeConfig
from wam.diagnostics.quantities import values_at
from wam.diagnostics.ridge import Block
from wam.episodes.store import Episodes
from wam.seeding import numpy_generator
from wam.tasks.selection import is_selection_episode
from wam.world_model.featurize import features_by_row, featurize_episodes
from wam.world_model.model import WorldModel

BLOCK_ROWS: Final = 8192
"""Rows read at once; bounds memory."""
STRETCH_ROWS: Final = 1000
"""Long episodes are cut into stretches of at most this many frames when some are held back."""
HOLD_BACK_EVERY: Final = 5
"""One stretch of so many chooses the strength of the ridge."""


def training_blocks(
    features: Mapping[str, Any], episodes: Episodes, max_frames: int, *, proprio: bool = False
) -> Iterator[Block]:
    """Inputs and true values of evenly spread training frames, one stretch in five held back.

    Args:
        features: ``feat`` ``(N, F)`` and ``frame_id`` ``(N,)`` of all frames, in memory or lazy.
        episodes: The frames' store; images are not needed.
        max_frames: Frames at most.
        proprio: Raw proprioception instead of features, of the same frames.
    """
    frame_id = np.asarray(features["frame_id"][:])
    stride = max(1, -(-len(frame_id) // max_frames))
    step = stride * max(1, BLOCK_ROWS // stride)
    for first in range(0, len(frame_id), step):
        ids = frame_id[first : first + step : stride]
        rows = episodes.row_of(ids)
        if proprio:
            inputs = episodes.proprio[rows]
        else:
            inputs = np.asarray(features["feat"][first : first + step])[::stride]
        yield inputs, values_at(episodes, rows), _held_back(episodes, rows)


def _held_back(episodes: Episodes, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    # Never zero rows, however few frames there are: one is held back still.
    length = min(STRETCH_ROWS, max(1, episodes.num_frames // HOLD_BACK_EVERY))
    pieces = -(-episodes.episode_length // length)
    first = np.cumsum(pieces) - pieces
    episode = episodes.episode_of(rows)
    stretch = first[episode] + (rows - episodes.episode_start[episode]) // length
    return np.asarray(stretch % HOLD_BACK_EVERY == HOLD_BACK_EVERY - 1)


@dataclass(frozen=True)
class JudgedFrames:
    """Held-out frames and what the world model made of them.

    Attributes:
        episodes: The chosen episodes alone, with images.
        feat: Features ``(n, F)`` of all their frames, each episode filtered from its start.
        truth: True values ``(n, Q)``.
        episode: Episode of each frame, ``(n,)``.
    """

    episodes: Episodes
    feat: NDArray[np.float32]
    truth: NDArray[np.float64]
    episode: NDArray[np.int64]


def judged_frames(
    model: WorldModel, episodes: Episodes, config: ProbeConfig, *, seed: int, batch: int
) -> JudgedFrames:
    """Filter the episodes that probes are judged on.

    Args:
        model: In evaluation mode.
        episodes: The validation split, with images.
        config: Which of them.
        seed: Of their choice, where there are more than needed, and of the sampled states.
        batch: Episodes filtered side by side.

    Raises:
        ValueError: If no validation episode gives selection starts.
    """
    chosen = choose_episodes(episodes, config, seed)
    kept = only_episodes(episodes, chosen)
    pieces = featurize_episodes(model, kept, seed=seed, batch=batch)
    feat = features_by_row(pieces, kept.num_frames, model.feat_dim)
    rows = np.arange(kept.num_frames)
    return JudgedFrames(kept, feat, values_at(kept, rows), kept.episode_of(rows))


def choose_episodes(episodes: Episodes, config: ProbeConfig, seed: int) -> NDArray[np.int64]:
    """Indices of the episodes that probes are judged on, ascending.

    Raises:
        ValueError: If there is none.
    """
    indices = np.arange(episodes.num_episodes)
    if config.episodes == "selection":
        source = indices if episodes.source_episode is None else episodes.source_episode
        indices = indices[[is_selection_episode(int(place)) for place in source]]
    if len(indices) == 0:
        raise ValueError(
            f"none of the {episodes.num_episodes} validation episodes gives selection starts; set "
            "probes.episodes to validation"
        )
    drawn = numpy_generator(seed, "probe_episodes").permutation(indices)[: config.max_episodes]
    return np.sort(drawn)


def only_episodes(episodes: Episodes, chosen: NDArray[np.int64]) -> Episodes:
    """A store of some of the episodes, in the order given."""
    length = episodes.episode_length[chosen]
    starts = episodes.episode_start[chosen]
    parts = [np.arange(at, at + n) for at, n in zip(starts, length, strict=True)]
    rows = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return replace(
        episodes,
        image_static=episodes.image_static[rows],
        image_gripper=episodes.image_gripper[rows],
        action=episodes.action[rows],
        proprio=episodes.proprio[rows],
        robot_obs=episodes.robot_obs[rows],
        scene_state=episodes.scene_state[rows],
        is_first=episodes.is_first[rows],
        frame_id=episodes.frame_id[rows],
        episode_start=np.cumsum(length) - length,
        episode_length=length,
        layout=None if episodes.layout is None else episodes.layout[chosen],
        source_episode=None if episodes.source_episode is None else episodes.source_episode[chosen],
    )
