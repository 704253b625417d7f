"""Simulator pools that are kept between evaluations: starting one costs as much as some episodes."""

import atexit

from wam.contracts import config_to_dict
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool

_pools: dict[tuple[str, int], SimPool] = {}


def kept_pool(config: SimConfig, *, workers: int) -> SimPool:
    """A pool that is made once per configuration and used again; do not close it.

    Starts are reset completely, so what a pool did before never shows in a result. A pool that was closed
    (by a failure) is replaced.

    Args:
        config: The simulator.
        workers: Processes; 0 runs everything inside this process.
    """
    key = (repr(sorted(config_to_dict(config).items())), workers)
    if key not in _pools or _pools[key].closed:
        _pools[key] = SimPool(config, workers=workers)
    return _pools[key]


def close_kept_pools() -> None:
    """Close every kept pool; the next :func:`kept_pool` makes a new one. Also done when the program ends."""
    while _pools:
        _pools.popitem()[1].close()


atexit.register(close_kept_pools)
