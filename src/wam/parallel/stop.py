"""One switch that ends every long loop of this process, whichever thread it runs in.

An interrupt reaches the main thread alone, and a failure only its own. Whoever sees one turns the switch; the
loops ask at every step (each progress bar does), so nodes beside the failed one end within a step.
"""

import threading
from typing import Final

_STOP: Final = threading.Event()


class StoppedError(RuntimeError):
    """The work was ended because the run is ending for another reason."""


def request_stop() -> None:
    """Let every loop of this process end at its next step."""
    _STOP.set()


def allow_work() -> None:
    """Turn the switch back, before new work starts."""
    _STOP.clear()


def check_stop() -> None:
    """Go on, or not.

    Raises:
        StoppedError: If a stop was requested.
    """
    if _STOP.is_set():
        raise StoppedError("stopped because the run is ending")
