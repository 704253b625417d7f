"""Success labels of expert segments, frame by frame, by replaying their actions in the simulator.

Time, for a segment of T frames::

    frame      0          1          2              T-1         (T, not in the segment)
               |--a[0]--> |--a[1]--> |     ...       |--a[T-1]--> |
    label[0] = False;   label[t] = oracle(scene after the reset, scene after a[t-1])

A label belongs to the frame that it describes (pairing ``described``). The published code pairs the outcome
of ``a[t]`` with frame t, one frame too early (docs/published.md, fault B4; pairing ``published``): its
label[t] is the one above of t + 1. Where only recorded scenes are at hand, the scene after the last action is
unknown, and the last frame keeps its own label.

A segment that never succeeds in replay has no positive label. It is reported, not dropped: its actions
solved the task when they were recorded, so it still serves behavior cloning, and its frames count as
failures here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.episodes.store import Episodes
from wam.parallel.map import Workers, map_pieces
from wam.sim.backends import make_table
from wam.sim.config import SimConfig
from wam.sim.replay import replay_actions
from wam.tasks.predicates import succeeded
from wam.tasks.starts import Start
from wam.tasks.table import task as task_called

LabelSource = Literal["replay", "recorded"]
"""``replay``: scenes of an open-loop replay (published). ``recorded``: recorded scenes, no simulator."""

LabelPairing = Literal["described", "published"]
"""Which frame a label stands beside; see the top of this module."""

SEGMENTS_PER_PIECE = 8
"""Segments replayed by one table: building a table costs as much as a segment, so it is used again."""


@dataclass(frozen=True)
class SegmentLabels:
    """Labels of every frame, and what came of every segment.

    Attributes:
        frames: One row per frame: ``segment`` (row of the segment in the table that was labelled), ``task``,
            ``step`` (from 0), ``frame_id``, ``label`` (bool).
        segments: One row per segment: ``segment``, ``task``, ``role``, ``frames``, ``positives`` (labelled
            frames), ``replay_succeeded`` (at any step, also after the last action).
    """

    frames: pd.DataFrame
    segments: pd.DataFrame


@dataclass(frozen=True)
class _ReplayPiece:
    config: SimConfig
    starts: tuple[Start, ...]
    actions: tuple[NDArray[np.float32], ...]


def _replay(piece: _ReplayPiece) -> list[NDArray[np.float64]]:
    table = make_table(piece.config, render=False)
    try:
        return [
            replay_actions(piece.config, start, action, env=table)
            for start, action in zip(piece.starts, piece.actions, strict=True)
        ]
    finally:
        table.close()


def start_at(episodes: Episodes, row: int) -> Start:
    """The start that puts the simulator where a recorded frame was."""
    layout = None if episodes.layout is None else episodes.layout[int(episodes.episode_of(row))]
    return Start(episodes.robot_obs[row], episodes.scene_state[row], layout)


def step_labels(task: str, scene_state: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Oracle labels (T,) of scene states (T, 24), relative to the first; the first is never a success."""
    labels = np.array(succeeded(task_called(task), scene_state[:1], scene_state), np.bool_)
    labels[0] = False
    return labels


def paired(labels: NDArray[np.bool_], frames: int, pairing: LabelPairing) -> NDArray[np.bool_]:
    """Labels ``(frames,)`` beside their frames, from those of consecutive scenes, one more after a replay."""
    if pairing == "published":
        labels = np.append(labels[1:], labels[-1:])
    return labels[:frames]


def label_segments(
    config: SimConfig,
    segments: pd.DataFrame,
    episodes: Episodes,
    *,
    workers: Workers,
    source: LabelSource = "replay",
    pairing: LabelPairing = "described",
) -> SegmentLabels:
    """Label every frame of expert segments.

    Args:
        config: The simulator; unused by source ``recorded``.
        segments: Columns task, role, start_row and end_row (inclusive rows of ``episodes``); all tasks at
            once.
        episodes: The split that the segments come from; images are not needed.
        workers: Processes that replay.
        source: Where the scene after each action comes from.
        pairing: Which frame a label stands beside.

    Returns:
        Labels per frame and outcomes per segment, in the order of the segments.

    Raises:
        ValueError: If the source is unknown or there are no segments.
    """
    if source not in get_args(LabelSource):
        raise ValueError(f"unknown label source {source!r}; one of {', '.join(get_args(LabelSource))}")
    if len(segments) == 0:
        raise ValueError("there are no segments to label; select expert segments first")
    if source == "recorded":
        return label_recorded(segments, episodes, pairing=pairing)
    spans = _spans(segments)
    scenes = _replayed_scenes(config, episodes, spans, workers)
    return _labelled(segments, episodes, spans, scenes, pairing)


def label_recorded(
    segments: pd.DataFrame, episodes: Episodes, *, pairing: LabelPairing = "described"
) -> SegmentLabels:
    """Labels from the recorded scene states, without a simulator; arguments as in :func:`label_segments`."""
    spans = _spans(segments)
    return _labelled(segments, episodes, spans, [episodes.scene_state[span] for span in spans], pairing)


def _spans(segments: pd.DataFrame) -> list[slice]:
    rows = segments[["start_row", "end_row"]].to_numpy()
    return [slice(int(first), int(last) + 1) for first, last in rows]


def _labelled(
    segments: pd.DataFrame,
    episodes: Episodes,
    spans: Sequence[slice],
    scenes: Sequence[NDArray[np.float64]],
    pairing: LabelPairing,
) -> SegmentLabels:
    frames, outcomes = [], []
    for number, (span, scene) in enumerate(zip(spans, scenes, strict=True)):
        task, role = str(segments["task"].iloc[number]), str(segments["role"].iloc[number])
        labels = step_labels(task, scene)
        frame_id = episodes.frame_id[span]
        inside = paired(labels, len(frame_id), pairing)
        columns = {"segment": number, "task": task, "step": np.arange(len(frame_id)), "frame_id": frame_id}
        frames.append(pd.DataFrame(columns | {"label": inside}))
        outcomes.append((number, task, role, len(frame_id), int(inside.sum()), bool(labels.any())))
    names = ["segment", "task", "role", "frames", "positives", "replay_succeeded"]
    return SegmentLabels(pd.concat(frames, ignore_index=True), pd.DataFrame(outcomes, columns=names))


def _replayed_scenes(
    config: SimConfig, episodes: Episodes, spans: Sequence[slice], workers: Workers
) -> list[NDArray[np.float64]]:
    groups = [spans[i : i + SEGMENTS_PER_PIECE] for i in range(0, len(spans), SEGMENTS_PER_PIECE)]
    pieces = [
        _ReplayPiece(
            config,
            tuple(start_at(episodes, span.start) for span in group),
            tuple(episodes.action[span] for span in group),
        )
        for group in groups
    ]
    description = f"replay {len(spans)} segments"
    results = map_pieces(_replay, pieces, workers=workers, description=description, unit="table")
    return [scene for group in results for scene in group]


def replay_success_table(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Replay success per task from ``SegmentLabels.segments``: columns task, succeeded, segments, rate."""
    table = (
        outcomes.groupby("task", sort=False)["replay_succeeded"].agg(["sum", "size", "mean"]).reset_index()
    )
    return table.set_axis(["task", "succeeded", "segments", "rate"], axis=1)
