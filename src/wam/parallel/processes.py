"""Pieces of work in spawned processes of this machine, which are kept and used again.

Spawned, never forked: threads of BLAS, Zarr and PyBullet do not survive a fork. The pool of a given size is
made once and kept until :func:`shutdown_processes` or the end of the program, because a spawned worker costs
seconds. Maps that run at the same time in several threads share it: no more workers, no more memory.
"""

import contextlib
import multiprocessing
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Final, Generic, TypeVar

from wam.parallel.lifeline import end_with_parent
from wam.parallel.stop import check_stop
from wam.parallel.workers import ONE_THREAD, PIECES_AHEAD, STOP_CHECK_S, TRIES, LostWorkerError

P = TypeVar("P")
R = TypeVar("R")

_POOLS: Final[dict[int, ProcessPoolExecutor]] = {}
_USERS: Final[Counter[ProcessPoolExecutor]] = Counter()
_GUARD: Final = threading.RLock()
"""Held while pools change hands and while workers start, because the environment is changed meanwhile."""


class _Ticket(Generic[P, R]):
    """An open piece: its future, and how often a worker died that may have been at it."""

    def __init__(self, piece: P) -> None:
        self.piece = piece
        self.losses = 0
        self.future: Future[R] = Future()


class ProcessCrew(Generic[P, R]):
    """A ``Crew`` of local processes.

    Args:
        function: Importable function of one piece.
        workers: Processes.
    """

    def __init__(self, function: Callable[[P], R], workers: int) -> None:
        self.ahead = PIECES_AHEAD * workers
        self._function = function
        self._workers = workers
        self._open: deque[_Ticket[P, R]] = deque()
        self._pool = _join_pool(workers)

    def submit(self, piece: P) -> None:
        """See ``Crew``."""
        self._open.append(_Ticket(piece))
        self._begin(self._open[-1])

    def take(self) -> R:
        """See ``Crew``."""
        while True:
            ticket = self._open[0]
            while not wait([ticket.future], timeout=STOP_CHECK_S).done:
                check_stop()
            lost = _lost(ticket.future)
            if lost is None:
                return self._open.popleft().future.result()
            self._begin_again()
            if ticket.losses >= TRIES:
                raise LostWorkerError(f"a worker process died {TRIES} times") from lost

    def leave(self) -> None:
        """See ``Crew``."""
        _leave_pool(self._pool, self._workers, [ticket.future for ticket in self._open])

    def _begin(self, ticket: _Ticket[P, R]) -> None:
        try:
            with _single_threaded_environment():
                ticket.future = self._pool.submit(self._function, ticket.piece)
        except BrokenProcessPool as error:  # by a piece of another map, just now
            ticket.future = Future()
            ticket.future.set_exception(error)

    def _begin_again(self) -> None:
        """A dead worker breaks its whole pool: every piece that it left unfinished starts in another.

        Pieces start in their order and one waits in front of the workers, so it was one of the oldest.
        """
        while wait([ticket.future for ticket in self._open], timeout=STOP_CHECK_S).not_done:
            check_stop()
        _leave_pool(self._pool, self._workers, [])
        self._pool = _join_pool(self._workers)
        lost = [ticket for ticket in self._open if _lost(ticket.future)]
        for ticket in lost[: self._workers + 1]:
            ticket.losses += 1
        for ticket in lost:
            self._begin(ticket)


def _lost(future: "Future[R]") -> BaseException | None:
    error = future.exception()
    return error if isinstance(error, BrokenProcessPool) else None


@contextlib.contextmanager
def _single_threaded_environment() -> Iterator[None]:
    """Thread limits while workers start: libraries read them before any initialiser runs."""
    with _GUARD:
        before = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)
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
            _POOLS[workers] = ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)
        _USERS[_POOLS[workers]] += 1
        return _POOLS[workers]


def _leave_pool(pool: ProcessPoolExecutor, workers: int, unfinished: "list[Future[R]]") -> None:
    """End the pool if a worker died, or if pieces still run that nobody waits for."""
    busy = [future for future in unfinished if not future.cancel() and not future.done()]
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


def _stop(pool: ProcessPoolExecutor, *, kill: bool) -> None:
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=not kill, cancel_futures=True)
    if kill:
        for process in processes:
            process.terminate()


def shutdown_processes(*, kill: bool = False) -> None:
    """End every kept worker process; see ``map.shutdown_workers``."""
    with _GUARD:
        pools = list(_POOLS.values())
        _POOLS.clear()
    for pool in pools:
        _stop(pool, kill=kill)
