"""Windows of consecutive steps inside segments: what a chunk policy is cloned from."""

import numpy as np
from jaxtyping import Int64


def chunk_windows(
    segment: Int64[np.ndarray, " N"],
    step: Int64[np.ndarray, " N"],
    horizon_steps: int,
    *,
    pad_end: bool = False,
) -> Int64[np.ndarray, "M Hs"]:
    """Rows of every window of ``horizon_steps`` consecutive steps that stays inside one segment.

    Rows of a segment lie one after another with ``step`` rising by 1; a segment may occur several times (its
    features filtered with several contexts), each time starting anew.

    Args:
        segment: Segment of each row.
        step: Step of each row within its segment.
        horizon_steps: Length of a window.
        pad_end: Also give the windows that run over the end, with the last row repeated there.

    Returns:
        Row numbers, one window a row, in order of their first row.

    Raises:
        ValueError: If no window fits.
    """
    if horizon_steps < 1:
        raise ValueError(f"horizon_steps must be at least 1, got {horizon_steps}")
    if len(segment) == 0:
        raise ValueError("no steps to cut windows from; the task has no expert segments")
    follows = (segment[1:] == segment[:-1]) & (step[1:] == step[:-1] + 1)
    run_starts = np.flatnonzero(np.concatenate(([True], ~follows)))
    run_ends = np.append(run_starts[1:], len(segment))
    run_end = np.repeat(run_ends, run_ends - run_starts)
    windows = np.arange(len(segment))[:, None] + np.arange(horizon_steps)[None]
    whole = windows[:, -1] < run_end
    if pad_end:
        windows = np.minimum(windows, run_end[:, None] - 1)
        whole[:] = True
    if not whole.any():
        raise ValueError(
            f"none of {len(run_starts)} segments has {horizon_steps} steps; lower horizon_steps or pad ends"
        )
    return windows[whole].astype(np.int64)
