"""The progress bar of the project: rate and remaining time, in a terminal and in a log file."""

import sys
from typing import Any

from tqdm import tqdm

TERMINAL_INTERVAL_S = 0.5
LOG_INTERVAL_S = 20.0
"""Seconds between two lines where no terminal redraws them."""


def progress(total: int, description: str, unit: str, *, initial: int = 0) -> "tqdm[Any]":
    """A progress bar on standard error.

    Args:
        total: Number of units in all, at least 0.
        description: What is being done, shown before the bar.
        unit: One unit in the singular, e.g. ``frame``.
        initial: Units finished in an earlier run, not counted in the rate.

    Returns:
        The bar: call ``update(n)``, use as a context manager or wrap with ``close()``.
    """
    terminal = sys.stderr.isatty()
    interval = TERMINAL_INTERVAL_S if terminal else LOG_INTERVAL_S
    return tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        initial=initial,
        mininterval=interval,
        maxinterval=2 * interval,
        dynamic_ncols=terminal,
        smoothing=0.1,
        file=sys.stderr,
    )
