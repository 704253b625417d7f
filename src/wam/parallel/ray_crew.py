"""Pieces of work as tasks of a Ray cluster: the extra ``[ray]``.

Pieces and results travel as the same pickles as between local processes, so that a result is the same object,
writable arrays included. Every node needs this package at the same version, and, for pieces that write files,
the same file system at the same path.
"""

import os
import pickle
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from wam.parallel.stop import check_stop
from wam.parallel.workers import (
    ONE_THREAD,
    PIECES_AHEAD,
    STOP_CHECK_S,
    TRIES,
    LostWorkerError,
    RayWorkers,
)

P = TypeVar("P")
R = TypeVar("R")

RAY_MISSING: Final = "Ray is not installed: pip install -e '.[ray]', or set compute.executor: local"
KNOCK_S: Final = 10.0
"""Seconds in which a cluster must take a connection."""
_GUARD: Final = threading.Lock()
_CONNECTED: Final = threading.Event()
"""Set while the connection is one that this module made, and so may end."""


def connect_ray() -> Any:
    """The module ``ray``, connected to the cluster; a connection that is there already is used.

    Raises:
        RuntimeError: If Ray is not installed or no cluster answers, with the remedy.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # usage reports are a choice, not a default
    try:
        import ray  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise RuntimeError(f"the executor is Ray, but {RAY_MISSING}") from error
    with _GUARD:
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS", "auto")
            try:
                _knock(address)
                ray.init(address=address, logging_level="warning")
            except (OSError, ValueError) as error:
                raise RuntimeError(
                    f"no Ray cluster answers at RAY_ADDRESS {address!r} ({error}): start one with "
                    "'ray start --head', name another, or set compute.executor: local"
                ) from error
            _CONNECTED.set()
    return ray


def _knock(address: str) -> None:
    """Find out in seconds that nobody is there; Ray itself tries for minutes."""
    if address != "auto":
        host, _, port = address.rpartition("/")[2].rpartition(":")
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()


def disconnect_ray() -> None:
    """End the connection that :func:`connect_ray` made, if any; the cluster goes on."""
    with _GUARD:
        if _CONNECTED.is_set():
            import ray  # noqa: PLC0415 - it was imported by whoever connected

            ray.shutdown()
            _CONNECTED.clear()


def ray_worker_count(workers: RayWorkers) -> int:
    """Cores to use, at least 1: the number asked for, or all of the cluster as it is now."""
    if workers.count:
        return workers.count
    return max(1, int(connect_ray().cluster_resources().get("CPU", 0)))


def _run(function: bytes, piece: bytes) -> bytes:
    """One piece, in a worker of the cluster."""
    result = pickle.loads(function)(pickle.loads(piece))  # noqa: S301 - from the driver, as in a local pool
    return pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)


class RayCrew(Generic[P, R]):
    """A ``Crew`` in a cluster. A piece whose worker or node is lost starts again on another.

    Ray counts tries by piece, and begins again without a limit where its memory monitor ended the worker.

    Args:
        function: Importable function of one piece; sent once, so it may carry what all pieces share.
        workers: How many.
    """

    def __init__(self, function: Callable[[P], R], workers: RayWorkers) -> None:
        self._ray = connect_ray()
        self.ahead = PIECES_AHEAD * ray_worker_count(workers)
        self._function = self._ray.put(pickle.dumps(function, protocol=pickle.HIGHEST_PROTOCOL))
        options = {"num_cpus": 1, "max_retries": TRIES - 1, "runtime_env": {"env_vars": ONE_THREAD}}
        self._task = self._ray.remote(**options)(_run)
        self._open: deque[Any] = deque()

    def submit(self, piece: P) -> None:
        """See ``Crew``."""
        pickled = pickle.dumps(piece, protocol=pickle.HIGHEST_PROTOCOL)
        self._open.append(self._task.remote(self._function, pickled))

    def take(self) -> R:
        """See ``Crew``."""
        piece = self._open[0]
        while not self._ray.wait([piece], timeout=STOP_CHECK_S)[0]:
            check_stop()
        self._open.popleft()
        try:
            result: R = pickle.loads(self._ray.get(piece))  # noqa: S301 - from our own task
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            raise LostWorkerError(f"a worker of the cluster died {TRIES} times") from error
        return result

    def leave(self) -> None:
        """See ``Crew``."""
        for piece in self._open:
            self._ray.cancel(piece, force=True)
        self._open.clear()
