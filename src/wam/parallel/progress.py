"""The progress bar of the project: rate and remaining time, in a terminal and in a log file."""

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

from tqdm import tqdm

from wam.parallel.stop import check_stop

TERMINAL_INTERVAL_S = 0.5
LOG_INTERVAL_S = 20.0
"""Seconds before the first line and between two lines where no terminal redraws them."""
_OWNER: Final[ContextVar[str]] = ContextVar("owner", default="")
_ROW: Final[ContextVar[int | None]] = ContextVar("row", default=None)


def name_bars(owner: str) -> None:
    """Put a name before every bar that this thread makes from now on, where several look alike; "" none."""
    _OWNER.set(owner)


def place_bars(row: int) -> None:
    """Give the bars that this thread makes from now on a row, where several processes share a terminal."""
    _ROW.set(row)


def bar_owner() -> str:
    """The name before this thread's bars, for a process that works for it."""
    return _OWNER.get()


class Bar(tqdm):  # type: ignore[type-arg]
    """A bar at which a loop ends when the run is ending; several may be drawn at once, from any thread."""

    def update(self, n: float | None = 1) -> bool | None:
        """Count finished units.

        Raises:
            StoppedError: If a stop was requested, see ``parallel.stop``.
        """
        check_stop()
        return super().update(n)

    def set_postfix(
        self, ordered_dict: Mapping[str, object] | None = None, refresh: bool | None = False, **kwargs: Any
    ) -> None:
        """Show values behind the bar when it is drawn next."""
        super().set_postfix(ordered_dict, refresh, **kwargs)

    def set_postfix_str(self, s: str = "", refresh: bool = False) -> None:
        """Show a text behind the bar when it is drawn next."""
        super().set_postfix_str(s, refresh)


class _Lines:
    """Where no terminal redraws: every state of a bar as a line of its own, so that bars do not mix."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(total: int, description: str, unit: str, *, initial: int = 0, shown: bool = True) -> "tqdm[Any]":
    """A progress bar on standard error.

    Args:
        total: Number of units in all, at least 0.
        description: What is being done, shown before the bar. In a log file a loop that ends sooner than
            the first line is due shows nothing.
        unit: One unit in the singular, e.g. ``frame``.
        initial: Units finished in an earlier run, not counted in the rate.
        shown: Whether anything is drawn; one process of many that do the same draws for all.

    Returns:
        The bar: call ``update(n)``, use as a context manager or wrap with ``close()``.
    """
    terminal, owner = sys.stderr.isatty(), _OWNER.get()
    interval = TERMINAL_INTERVAL_S if terminal else LOG_INTERVAL_S
    return Bar(
        total=total,
        desc=f"{owner}: {description}" if owner else description,
        unit=f" {unit}",
        initial=initial,
        mininterval=interval,
        maxinterval=2 * interval,
        delay=0 if terminal else 0.5 * interval,
        dynamic_ncols=terminal,
        smoothing=0.1,
        file=sys.stderr if terminal else _Lines(),
        position=_ROW.get() if terminal else 0,
        disable=not shown,
    )
