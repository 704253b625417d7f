"""An ordered map over pieces of work in spawned processes that are kept and used again.

Spawned, never forked: threads of BLAS, Zarr and PyBullet do not survive a fork. The pool of a given size is
made once and kept until :func:`shutdown_workers` or the end of the program, because a spawned worker costs
seconds. Maps that run at the same time in several threads share it: no more workers, no more memory.
"""

import atexit
import contextlib
import multiprocessing
import os
import reprlib
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final, TypeVar

from wam.parallel.progress import progress
from wam.parallel.stop import StoppedError, check_stop

P = TypeVar("P")
R = TypeVar("R")

PIECES_AHEAD: Final = 3
"""Pieces per worker that may be under way or finished and not yet taken: enough to keep workers busy behind
one slow piece, few enough that results do not pile up in memory."""
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "ZARR_THREADING__MAX_WORKERS",
)
"""One thread per worker for torch, BLAS, OpenCV and Zarr: all read it from the environment when imported."""
STOP_CHECK_S: Final = 0.5
"""Seconds after which a wait for a piece asks whether the run is ending."""
_POOLS: Final[dict[int, ProcessPoolExecutor]] = {}
_USERS: Final[Counter[ProcessPoolExecutor]] = Counter()
_GUARD: Final = threading.RLock()
"""Held while pools change hands and while workers start, because the environment is changed meanwhile."""


def available_workers() -> int:
    """Cores this process may use: its CPU affinity, lowered by a control group's quota, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, which ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _single_threaded_environment() -> Iterator[None]:
    """Thread limits while workers start: libraries read them before any initialiser runs."""
    with _GUARD:
        before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _join_pool(workers: int) -> ProcessPoolExecutor:
    with _GUARD:
        if workers not in _POOLS:
            context = multiprocessing.get_context("spawn")
            _POOLS[workers] = ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker)
        _USERS[_POOLS[workers]] += 1
        return _POOLS[workers]


def _stop(pool: ProcessPoolExecutor, *, kill: bool) -> None:
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=not kill, cancel_futures=True)
    if kill:
        for process in processes:
            process.terminate()


def shutdown_workers(*, kill: bool = False) -> None:
    """End every kept worker process; the next :func:`map_pieces` starts new ones.

    Args:
        kill: Do not wait for pieces that still run.
    """
    with _GUARD:
        pools = list(_POOLS.values())
        _POOLS.clear()
    for pool in pools:
        _stop(pool, kill=kill)


atexit.register(shutdown_workers)


@contextlib.contextmanager
def _piece(description: str, index: int, piece: object) -> Iterator[None]:
    """Name the piece in whatever goes wrong inside."""
    try:
        yield
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"{description}: a worker process died at or near piece {index}, {reprlib.repr(piece)} "
            "(killed for memory, or a crash in native code); use fewer workers, then run again"
        ) from error
    except StoppedError:
        raise
    except Exception as error:
        error.add_note(f"{description}: piece {index} failed: {reprlib.repr(piece)}")
        raise


def _map_inline(function: Callable[[P], R], pieces: Sequence[P], description: str, unit: str) -> Iterator[R]:
    with progress(len(pieces), description, unit) as bar:
        for index, piece in enumerate(pieces):
            with _piece(description, index, piece):
                result = function(piece)
            bar.update()
            yield result


def _take(future: "Future[R]") -> R:
    while not wait([future], timeout=STOP_CHECK_S).done:
        check_stop()
    return future.result()


def _map_pool(
    function: Callable[[P], R], pieces: Sequence[P], workers: int, description: str, unit: str
) -> Iterator[R]:
    pool = _join_pool(workers)
    pending: deque[Future[R]] = deque()
    submitted = 0
    try:
        with progress(len(pieces), description, unit) as bar:
            for index, piece in enumerate(pieces):
                with _piece(description, index, piece):
                    with _single_threaded_environment():
                        while submitted < len(pieces) and len(pending) < PIECES_AHEAD * workers:
                            pending.append(pool.submit(function, pieces[submitted]))
                            submitted += 1
                    result = _take(pending.popleft())
                bar.update()
                yield result
    finally:
        _settle(pool, workers, pending)


def _settle(pool: ProcessPoolExecutor, workers: int, pending: "deque[Future[R]]") -> None:
    """Leave the pool; end it if a worker died, or if pieces still run that nobody waits for."""
    busy = [future for future in pending if not future.cancel() and not future.done()]
    with _GUARD:
        _USERS[pool] -= 1
        shared = _USERS[pool] > 0
        if not shared:
            del _USERS[pool]
        broken = bool(getattr(pool, "_broken", False))
        ended = broken or (bool(busy) and not shared)
        if ended and _POOLS.get(workers) is pool:
            del _POOLS[workers]
    if ended:
        _stop(pool, kill=True)


def map_pieces(
    function: Callable[[P], R], pieces: Sequence[P], *, workers: int, description: str, unit: str = "piece"
) -> Iterator[R]:
    """Apply a function to every piece, results in the order of the pieces, with a progress bar.

    Args:
        function: Importable function of one piece (a closure or lambda only runs with ``workers <= 1``).
        pieces: The pieces; each must be picklable when there are workers.
        workers: Processes to use; 1 or fewer runs in this process. Results do not depend on it.
        description: What is being done, for the bar and for errors.
        unit: One piece in the singular, for the bar.

    Yields:
        Results in order. Work stops running ahead when results are not taken.

    Raises:
        Exception: The piece's own error, with a note that names the piece.
        RuntimeError: If a worker process died.
    """
    if workers <= 1 or len(pieces) <= 1:
        yield from _map_inline(function, pieces, description, unit)
    else:
        yield from _map_pool(function, pieces, workers, description, unit)
