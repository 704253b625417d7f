"""Episodes in memory: plain arrays, wherever they came from.

Nothing here knows how episodes are kept, so training needs no Zarr where its frames come from elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wam.contracts import OPEN_GRIPPER_ACTION


@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes in memory, frames of all episodes one after another.

    Attributes:
        image_static: ``(N, 64, 64, 3)`` uint8; ``(0, 64, 64, 3)`` when loaded without images.
        image_gripper: Same.
        action: ``(N, 7)`` float32, in [-1, 1].
        proprio: ``(N, 18)`` float32, not normalised.
        robot_obs: ``(N, 15)`` float64.
        scene_state: ``(N, 24)`` float64.
        is_first: ``(N,)`` bool, True where an episode starts.
        frame_id: ``(N,)`` int64, id in the source folder.
        episode_start: ``(E,)`` int64, row of the first frame.
        episode_length: ``(E,)`` int64, frames.
        layout: ``(E, L)`` float64 furniture layouts, or None where none were recorded.
        layout_names: Names of the ``L`` layout values.
        source_episode: ``(E,)`` int64, position of the episode in the source folder (parts of an episode that
            bad frames cut share it); None means 0, 1, 2, ...
    """

    image_static: NDArray[np.uint8]
    image_gripper: NDArray[np.uint8]
    action: NDArray[np.float32]
    proprio: NDArray[np.float32]
    robot_obs: NDArray[np.float64]
    scene_state: NDArray[np.float64]
    is_first: NDArray[np.bool_]
    frame_id: NDArray[np.int64]
    episode_start: NDArray[np.int64]
    episode_length: NDArray[np.int64]
    layout: NDArray[np.float64] | None
    layout_names: tuple[str, ...] = ()
    source_episode: NDArray[np.int64] | None = None

    @property
    def num_frames(self) -> int:
        """Frames in all episodes."""
        return len(self.frame_id)

    @property
    def num_episodes(self) -> int:
        """Episodes."""
        return len(self.episode_start)

    def prev_action(self) -> NDArray[np.float32]:
        """The action that led to each frame, ``(N, 7)``; no motion and an open gripper at a start."""
        return self.prev_action_at(np.arange(self.num_frames))

    def prev_action_at(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The action that led to the frames in ``rows``, ``(*rows.shape, 7)``."""
        previous = self.action[rows - 1]
        previous[self.is_first[rows]] = np.asarray(OPEN_GRIPPER_ACTION, np.float32)
        return previous

    def row_of(self, frame_id: ArrayLike) -> NDArray[np.int64]:
        """Rows of frame ids, in the same shape.

        Raises:
            KeyError: If a frame id is not in the store.
        """
        wanted = np.asarray(frame_id, np.int64)
        order, sorted_ids = self._frame_order
        place = np.minimum(np.searchsorted(sorted_ids, wanted), len(sorted_ids) - 1)
        absent = sorted_ids[place] != wanted
        if absent.any():
            missing = np.atleast_1d(wanted)[np.atleast_1d(absent)]
            raise KeyError(f"frame {missing[0]} is not in the store ({len(missing)} frame ids are missing)")
        return order[place]

    def has_frame(self, frame_id: ArrayLike) -> NDArray[np.bool_]:
        """Whether frame ids are in the store, in the same shape."""
        return np.isin(np.asarray(frame_id, np.int64), self.frame_id)

    def episode_of(self, row: ArrayLike) -> NDArray[np.int64]:
        """Index of the episode that holds each row, in the same shape."""
        return np.searchsorted(self.episode_start, np.asarray(row, np.int64), side="right") - 1

    @cached_property
    def _frame_order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.frame_id, kind="stable")
        return order, self.frame_id[order]


def episodes_at(arrays: Mapping[str, Any], spans: Sequence[slice], frame_id: NDArray[np.int64]) -> Episodes:
    """Whole episodes, with images, out of frames that lie one after another; without layouts.

    Args:
        arrays: Those of :class:`Episodes` from ``image_static`` to ``scene_state``, by name; in memory or
            lazy (sliced before they are read).
        spans: Rows of each episode; neighbours are read at once.
        frame_id: ``(N,)``, ids of their frames.
    """
    length = np.array([span.stop - span.start for span in spans], np.int64)
    start = np.cumsum(length) - length
    is_first = np.zeros(int(length.sum()), np.bool_)
    is_first[start] = True
    parts = _merged(spans)

    def read(name: str, kind: type[np.generic]) -> NDArray[Any]:
        return np.concatenate([np.asarray(arrays[name][part]) for part in parts]).astype(kind, copy=False)

    return Episodes(
        image_static=read("image_static", np.uint8),
        image_gripper=read("image_gripper", np.uint8),
        action=read("action", np.float32),
        proprio=read("proprio", np.float32),
        robot_obs=read("robot_obs", np.float64),
        scene_state=read("scene_state", np.float64),
        is_first=is_first,
        frame_id=frame_id,
        episode_start=start,
        episode_length=length,
        layout=None,
    )


def rows_of(spans: Sequence[slice]) -> NDArray[np.int64]:
    """Rows in spans, one span after another."""
    return np.concatenate([np.arange(span.start, span.stop) for span in spans])


def _merged(spans: Sequence[slice]) -> list[slice]:
    """Neighbouring spans joined: one read each instead of one per episode."""
    merged: list[slice] = []
    for span in spans:
        if merged and merged[-1].stop == span.start:
            merged[-1] = slice(merged[-1].start, span.stop)
        else:
            merged.append(span)
    return merged
