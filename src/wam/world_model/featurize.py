"""Features of recorded frames: what policies and reward classifiers are trained on.

Two ways to get the feature of a frame, and both matter: with *long context* the model has filtered all
frames since the start of the episode or the last ``context_steps``; *fresh* it starts at the segment's
first frame, as it does in evaluation (docs/published.md, fault B8).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC, OPEN_GRIPPER_ACTION, PROPRIO
from wam.episodes.loaded import Episodes
from wam.world_model.filtering import Stretch, encode_rows, filter_stretches
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState

LONG_CONTEXT = 0
"""Value of ``context`` for long-context features; fresh samples count from 1."""


@torch.no_grad()
def start_state(
    model: WorldModel,
    image_static: UInt8[Tensor, "B 64 64 3"],
    image_gripper: UInt8[Tensor, "B 64 64 3"],
    proprio: Float[Tensor, "B P"],
    *,
    repeats: int,
    generator: torch.Generator,
) -> RSSMState:
    """The state after a first frame, seen ``repeats`` times with no motion in between.

    One frame alone, as published, leaves the state far off; seeing it four to eight times halves the error
    (docs/published.md, first trial).

    Args:
        model: In evaluation mode.
        image_static: Bytes.
        image_gripper: Bytes.
        proprio: Raw.
        repeats: At least 1; published 1.
        generator: For the samples of z.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    embed = model.embed({IMAGE_STATIC: image_static, IMAGE_GRIPPER: image_gripper, PROPRIO: proprio})
    count = len(embed)
    action = torch.tensor(OPEN_GRIPPER_ACTION, device=model.device).expand(count, repeats, -1)
    is_first = torch.zeros(count, repeats, dtype=torch.bool, device=model.device)
    is_first[:, 0] = True
    embeds = embed[:, None].expand(-1, repeats, -1)
    return model.observe(embeds, action, is_first, model.initial_state(count), generator).state


def featurize_episodes(
    model: WorldModel, episodes: Episodes, *, seed: int, batch: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Features of every frame, each episode filtered from its start.

    Args:
        model: In evaluation mode.
        episodes: With images.
        seed: Of the sampled states; those of an episode depend on it and the episode's first frame id.
        batch: Episodes filtered side by side.

    Yields:
        Rows ``(n,)`` and their features ``(n, F)``; every row once, in no particular order.
    """
    stretches = []
    for start, length in zip(episodes.episode_start, episodes.episode_length, strict=True):
        rows = np.arange(start, start + length)
        key = ("episode", int(episodes.frame_id[start]))
        stretches.append(Stretch(rows, episodes.prev_action_at(rows), 0, key))
    embed = _Encoder(model, episodes)
    for index, first, feat in filter_stretches(model, stretches, embed, seed=seed, batch=batch):
        yield stretches[index].rows[first : first + len(feat)], feat.cpu().numpy()


def featurize_segments(
    model: WorldModel,
    episodes: Episodes,
    segments: pd.DataFrame,
    *,
    start_repeats: int,
    fresh_samples: int,
    long_context: bool,
    seed: int,
    context_steps: int = 256,
    batch: int = 128,
) -> dict[str, NDArray[Any]]:
    """Features of the frames of expert segments.

    Args:
        model: In evaluation mode.
        episodes: With images.
        segments: ``start_row`` and ``end_row`` (inclusive), one row per segment.
        start_repeats: How often a fresh start sees its first frame.
        fresh_samples: How many independently sampled fresh runs per segment.
        long_context: Whether to add features with long context.
        seed: Of the sampled states.
        context_steps: Most frames filtered before a segment for long context (published at least 156).
        batch: Segments filtered side by side.

    Returns:
        Arrays with one row per segment, context and frame, in that order: ``feat (N, F)``,
        ``action (N, 7)``, ``proprio (N, 18)`` raw, ``scene_state (N, 24)``, ``segment (N,)`` (position in
        ``segments``), ``context (N,)`` (0 long, 1 and up fresh samples), ``step (N,)`` within the segment,
        ``frame_id (N,)``.

    Raises:
        ValueError: If neither kind of feature is asked for.
    """
    contexts = [*([LONG_CONTEXT] if long_context else []), *range(1, fresh_samples + 1)]
    if not contexts:
        raise ValueError("long_context is off and fresh_samples is 0: no features are asked for")
    bounds = segments[["start_row", "end_row"]].to_numpy(np.int64)
    places = [(segment, context) for segment in range(len(bounds)) for context in contexts]
    stretches = [
        _long(episodes, bounds[segment], context_steps)
        if context == LONG_CONTEXT
        else _fresh(episodes, bounds[segment], start_repeats, context)
        for segment, context in places
    ]
    feats: list[list[Tensor]] = [[] for _ in stretches]
    embed = _Cache(model, episodes, stretches)
    for index, _, feat in filter_stretches(model, stretches, embed, seed=seed, batch=batch):
        feats[index].append(feat.cpu())
    return _collect(episodes, bounds, places, feats)


def _long(episodes: Episodes, bounds: NDArray[np.int64], context_steps: int) -> Stretch:
    start, end = bounds.tolist()
    episode_start = int(episodes.episode_start[episodes.episode_of(start)])
    first = max(episode_start, start - context_steps)
    rows = np.arange(first, end + 1)
    key = ("segment", int(episodes.frame_id[start]), LONG_CONTEXT)
    return Stretch(rows, episodes.prev_action_at(rows), start - first, key)


def _fresh(episodes: Episodes, bounds: NDArray[np.int64], repeats: int, sample: int) -> Stretch:
    start, end = bounds.tolist()
    rows = np.concatenate([np.full(repeats - 1, start), np.arange(start, end + 1)])
    prev_action = episodes.prev_action_at(rows)
    prev_action[:repeats] = np.asarray(OPEN_GRIPPER_ACTION, np.float32)
    return Stretch(rows, prev_action, repeats - 1, ("segment", int(episodes.frame_id[start]), sample))


def _collect(
    episodes: Episodes, bounds: NDArray[np.int64], places: list[tuple[int, int]], feats: list[list[Tensor]]
) -> dict[str, NDArray[Any]]:
    rows = [np.arange(bounds[segment, 0], bounds[segment, 1] + 1) for segment, _ in places]
    all_rows = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    counts = [len(r) for r in rows]
    return {
        "feat": torch.cat([part for parts in feats for part in parts]).numpy(),
        "action": episodes.action[all_rows],
        "proprio": episodes.proprio[all_rows],
        "scene_state": episodes.scene_state[all_rows],
        "segment": np.repeat(np.array([p[0] for p in places], np.int64), counts),
        "context": np.repeat(np.array([p[1] for p in places], np.int8), counts),
        "step": np.concatenate([np.arange(count) for count in counts]),
        "frame_id": episodes.frame_id[all_rows],
    }


class _Encoder:
    """Encodes rows each time they are asked for."""

    def __init__(self, model: WorldModel, episodes: Episodes) -> None:
        self._model, self._episodes = model, episodes

    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        return encode_rows(self._model, self._episodes, rows)


class _Cache:
    """Encodes the rows of all stretches once."""

    def __init__(self, model: WorldModel, episodes: Episodes, stretches: list[Stretch]) -> None:
        self._rows = np.unique(np.concatenate([stretch.rows for stretch in stretches]))
        self._embeds = encode_rows(model, episodes, self._rows)

    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        return self._embeds[torch.from_numpy(np.searchsorted(self._rows, rows)).to(self._embeds.device)]


def features_by_row(
    pieces: Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]], num_frames: int, feat_dim: int
) -> NDArray[np.float32]:
    """Put the pieces of ``featurize_episodes`` into one array ``(num_frames, F)``."""
    feats = np.full((num_frames, feat_dim), np.nan, np.float32)
    for rows, feat in pieces:
        feats[rows] = feat
    return feats
