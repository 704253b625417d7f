"""Segments as a control sees them, in the form in which features are stored."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.demonstrations.control_conditions import ControlKind, control_condition
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import Episodes


def observe_segments(
    kind: ControlKind,
    episodes: Episodes,
    segments: pd.DataFrame,
    statistics: ProprioStatistics,
) -> dict[str, NDArray[Any]]:
    """What a control is conditioned on at every frame of segments.

    Args:
        kind: Which control.
        episodes: Where the segments lie; images are not needed.
        segments: Columns start_row and end_row (inclusive rows of ``episodes``).
        statistics: Range of each proprio value in the training episodes, and how rotations are read.

    Returns:
        The arrays of ``world_model.featurize.featurize_segments``, with the control's vector ``(N, C)`` as
        ``feat``, one context for every segment.
    """
    spans = segments[["start_row", "end_row"]].to_numpy(np.int64)
    counts = spans[:, 1] - spans[:, 0] + 1
    rows = np.concatenate([np.arange(first, last + 1) for first, last in spans])
    layout = None if episodes.layout is None else episodes.layout[episodes.episode_of(rows)]
    return {
        "feat": control_condition(
            kind,
            episodes.robot_obs[rows],
            episodes.scene_state[rows],
            layout,
            statistics,
        ),
        "action": episodes.action[rows],
        "proprio": episodes.proprio[rows],
        "scene_state": episodes.scene_state[rows],
        "segment": np.repeat(np.arange(len(spans)), counts),
        "context": np.ones(len(rows), np.int8),
        "step": np.concatenate([np.arange(count) for count in counts]),
        "frame_id": episodes.frame_id[rows],
    }
