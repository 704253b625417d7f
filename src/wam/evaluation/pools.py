"""Simulator pools that are lent and kept: starting one costs as much as some episodes."""

import atexit
import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from wam.contracts import config_to_dict
from wam.parallel.map import Workers
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool

_Key = tuple[str, Workers]
_IDLE: Final[dict[_Key, list[SimPool]]] = {}
_GUARD: Final = threading.Lock()


@contextlib.contextmanager
def borrowed_pool(config: SimConfig, *, workers: Workers) -> Iterator[SimPool]:
    """A pool for one borrower at a time: an idle one, or a new one; kept for the next borrower afterwards.

    Starts are reset completely, so what a pool did before never shows in a result. Two threads never hold
    the same pool. A pool that was closed meanwhile (by a failure) is not kept.

    Args:
        config: The simulator.
        workers: As the pool's.

    Yields:
        The pool; do not close it.
    """
    key = (repr(sorted(config_to_dict(config).items())), workers)
    with _GUARD:
        idle = _IDLE.get(key)
        pool = idle.pop() if idle else None
    pool = pool or SimPool(config, workers=workers)
    try:
        yield pool
    finally:
        with _GUARD:
            if not pool.closed:
                _IDLE.setdefault(key, []).append(pool)


def close_kept_pools() -> None:
    """Close every idle pool; the next :func:`borrowed_pool` makes a new one. Also done at program end."""
    with _GUARD:
        pools = [pool for idle in _IDLE.values() for pool in idle]
        _IDLE.clear()
    for pool in pools:
        pool.close()


atexit.register(close_kept_pools)
