"""Posterior filtering of many stretches of recorded frames in lockstep.

A stretch has noise of its own, so its features do not depend on which other stretches ran beside it
(up to the last bits of the matrix products).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC, PROPRIO
from wam.episodes.loaded import Episodes
from wam.parallel.progress import progress
from wam.seeding import torch_generator
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState

CHUNK_STEPS = 32
"""Frames per stretch that are filtered at once; bounds memory, changes no result."""
ENCODE_BATCH = 512
"""Frames encoded at once."""

Embed = Callable[[NDArray[np.int64]], Tensor]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Stretch:
    """Frames to filter one after another, from a state dropped before the first.

    Attributes:
        rows: Rows of the frames, ``(n,)``; a row may be repeated.
        prev_action: That led to each frame, ``(n, A)``.
        keep_from: Index of the first frame whose feature is wanted.
        noise_key: Names its random stream.
    """

    rows: NDArray[np.int64]
    prev_action: NDArray[np.float32]
    keep_from: int
    noise_key: tuple[str | int, ...]


@torch.no_grad()
def encode_rows(model: WorldModel, episodes: Episodes, rows: NDArray[np.int64]) -> Tensor:
    """Embeddings of recorded frames, ``(n, E)`` on the model's device."""
    parts = []
    for piece in np.array_split(rows, max(1, -(-len(rows) // ENCODE_BATCH))):
        frames = {
            IMAGE_STATIC: episodes.image_static[piece],
            IMAGE_GRIPPER: episodes.image_gripper[piece],
            PROPRIO: episodes.proprio[piece],
        }
        parts.append(model.embed({key: torch.from_numpy(x).to(model.device) for key, x in frames.items()}))
    return torch.cat(parts)


@torch.no_grad()
def filter_stretches(
    model: WorldModel, stretches: Sequence[Stretch], embed: Embed, *, seed: int, batch: int
) -> Iterator[tuple[int, int, Tensor]]:
    """Filter stretches, at most ``batch`` side by side, longest first.

    Args:
        model: In evaluation mode.
        stretches: What to filter.
        embed: Embeddings ``(n, E)`` of rows.
        seed: Of the sampled states.
        batch: Most stretches at once.

    Yields:
        Index of a stretch, index of a frame in it, and the features of that frame and the following ones,
        ``(k, F)``; in order within a stretch, from its ``keep_from`` on.
    """
    order = sorted(range(len(stretches)), key=lambda i: -len(stretches[i].rows))
    frames = sum(max(0, len(one.rows) - one.keep_from) for one in stretches)
    with progress(frames, "filter", "frame") as bar:
        for place in range(0, len(order), batch):
            for found in _filter_group(model, stretches, order[place : place + batch], embed, seed):
                yield found
                bar.update(len(found[2]))


def _filter_group(
    model: WorldModel, stretches: Sequence[Stretch], members: list[int], embed: Embed, seed: int
) -> Iterator[tuple[int, int, Tensor]]:
    generators = {i: torch_generator(seed, "filter", *stretches[i].noise_key) for i in members}
    state = model.initial_state(len(members))
    for start in range(0, len(stretches[members[0]].rows), CHUNK_STEPS):
        members = [i for i in members if len(stretches[i].rows) > start]
        noise = torch.cat([model.noise(1, CHUNK_STEPS, generator=generators[i]) for i in members])
        state = state.rows(slice(0, len(members)))
        feat, state = _filter_chunk(model, [stretches[i] for i in members], start, embed, state, noise)
        for i, values in zip(members, feat, strict=True):
            first = max(start, stretches[i].keep_from)
            last = min(start + CHUNK_STEPS, len(stretches[i].rows))
            if first < last:
                yield i, first, values[first - start : last - start]


def _filter_chunk(  # noqa: PLR0917 - all of them vary from chunk to chunk
    model: WorldModel,
    stretches: Sequence[Stretch],
    start: int,
    embed: Embed,
    state: RSSMState,
    noise: Tensor,
) -> tuple[Tensor, RSSMState]:
    """Features ``(len(stretches), k, F)`` and the states after the chunk; short stretches are padded."""
    steps = min(CHUNK_STEPS, len(stretches[0].rows) - start)
    index = [np.minimum(np.arange(start, start + steps), len(s.rows) - 1) for s in stretches]
    rows = np.stack([s.rows[i] for s, i in zip(stretches, index, strict=True)])
    action = np.stack([s.prev_action[i] for s, i in zip(stretches, index, strict=True)])
    is_first = torch.zeros(rows.shape, dtype=torch.bool, device=model.device)
    is_first[:, 0] = start == 0
    embeds = embed(rows.reshape(-1)).reshape(*rows.shape, -1)
    actions = torch.from_numpy(action).to(model.device)
    observed = model.rssm.observe(embeds, actions, is_first, state, noise[:, :steps])
    return observed.feat, observed.state
