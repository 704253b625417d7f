"""Many play tables at once, in lockstep: several environments in each of a few workers."""

import contextlib
import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM
from wam.parallel.lifeline import end_with_parent
from wam.parallel.map import RayWorkers, Workers
from wam.sim.config import SimConfig
from wam.sim.env_group import EnvGroup, SimWorker, SimWorkerError
from wam.sim.frames import SimFrames, copy_frames, gather_frames
from wam.sim.pool_ray import ray_sim_workers
from wam.tasks.starts import Start

__all__ = ["SimFrames", "SimPool", "SimWorkerError"]

JOIN_SECONDS = 5.0
"""How long a worker may take to leave after it was asked to, before it is ended by force."""


def nothing() -> None:
    """What there is to do while workers move, where there is nothing."""


def _serve(connection: Connection, config: SimConfig) -> None:
    """Answer requests until the parent asks to stop or is gone. Runs in the worker process."""
    end_with_parent()
    with contextlib.closing(EnvGroup(config)) as group, contextlib.suppress(EOFError):  # the parent is gone
        while (request := connection.recv()) is not None:
            connection.send(_answer(group, *request))


def _answer(group: EnvGroup, method: str, *arguments: Any) -> tuple[bool, Any]:
    try:
        return True, getattr(group, method)(*arguments)
    except Exception:  # noqa: BLE001 - raised again in the parent, with this traceback
        return False, traceback.format_exc()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, config: SimConfig, index: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(theirs, config), name=f"sim-{index}", daemon=True
        )
        self._process.start()
        theirs.close()

    def send(self, *request: Any) -> None:
        try:
            self._connection.send(request)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise SimWorkerError(self._death()) from error

    def receive(self) -> SimFrames:
        try:
            succeeded, answer = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise SimWorkerError(self._death()) from error
        if not succeeded:
            raise SimWorkerError(f"simulator worker {self._process.name} failed:\n{answer}")
        frames: SimFrames = answer
        return frames

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it may be gone already
            self._connection.send(None)
        self._connection.close()
        self._process.join(JOIN_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _death(self) -> str:
        self._process.join(JOIN_SECONDS)
        return (
            f"simulator worker {self._process.name} died with exit code {self._process.exitcode}; "
            "if it was killed for memory (-9), use fewer starts or workers at a time"
        )


class SimPool:
    """Steps many tables in lockstep; the same numbers for any number of workers.

    Start i lives in worker ``i % workers``; every reset is a full reload, so frames depend on starts and
    actions alone. Use as a context manager: leaving it ends the workers, also after an error.

    Args:
        config: The simulator.
        workers: Processes, 0 for none but this one; or workers of a Ray cluster.

    Attributes:
        closed: Whether the pool was closed, by its user or after a worker failed.
    """

    def __init__(self, config: SimConfig, *, workers: Workers) -> None:
        if not isinstance(workers, RayWorkers) and workers < 0:
            raise ValueError(f"workers must be at least 0 (0: in this process), got {workers}")
        self._inline = EnvGroup(config) if workers == 0 else None
        self._workers: Sequence[SimWorker] = (
            ray_sim_workers(config, workers)
            if isinstance(workers, RayWorkers)
            else [_Worker(config, index) for index in range(workers)]
        )
        self._frames: SimFrames | None = None
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes and free the environments; safe to call twice."""
        self.closed = True
        if self._inline is not None:
            self._inline.close()
        for worker in self._workers:
            worker.close()
        self._workers = []
        self._frames = None

    def reset(self, starts: Sequence[Start], *, render: bool | NDArray[np.bool_]) -> SimFrames:
        """Put each start on a table of its own.

        Args:
            starts: n starts.
            render: Whether to draw both cameras; or (n,), of which tables: the others' images are black.

        Returns:
            The n first frames.

        Raises:
            ValueError: No starts.
            SimWorkerError: A worker failed; the pool is closed.
        """
        if not starts:
            raise ValueError("reset needs at least one start, got none")
        drawn = np.broadcast_to(np.asarray(render, np.bool_), len(starts))
        if self._inline is not None:
            self._frames = self._inline.reset(starts, drawn)
            return copy_frames(self._frames)
        count = len(self._workers)
        rows = [np.arange(k, len(starts), count) for k in range(count)]
        requests = [("reset", list(starts[k::count]), drawn[k::count]) for k in range(count)]
        self._frames = gather_frames(len(starts), self._ask(requests), rows, None)
        return copy_frames(self._frames)

    def restart(
        self, rows: NDArray[np.integer], starts: Sequence[Start], *, render: bool | NDArray[np.bool_]
    ) -> SimFrames:
        """Put another start on some of the tables; the others wait.

        Args:
            rows: (k,) tables, each at most once.
            starts: k starts.
            render: Whether to draw both cameras of those tables; or (k,), of which: the others' are black.

        Returns:
            n frames; rows of other tables repeat their last known frame (images too).

        Raises:
            ValueError: Tables that are not there or named twice, or a pool that was not reset.
            SimWorkerError: A worker failed; the pool is closed.
        """
        last = self._frames
        if last is None:
            raise ValueError("the pool has no tables yet: call reset(starts) before restart")
        where: NDArray[np.int64] = np.asarray(rows, np.int64)
        named = set(where.tolist())
        if not len(named) == len(where) == len(starts) or not named <= set(range(len(last))):
            raise ValueError(
                f"need each of {len(last)} tables at most once and a start for it, got {where} for "
                f"{len(starts)} starts"
            )
        drawn = np.broadcast_to(np.asarray(render, np.bool_), len(starts))
        if self._inline is not None:
            parts, places = [self._inline.restart(where, starts, drawn)], [where]
        else:
            count = len(self._workers)
            chosen = [np.flatnonzero(where % count == k) for k in range(count)]
            parts = self._ask(
                [
                    ("restart", where[one] // count, [starts[i] for i in one.tolist()], drawn[one])
                    for one in chosen
                ]
            )
            places = [where[one] for one in chosen]
        self._frames = gather_frames(len(last), parts, places, last)
        return copy_frames(self._frames)

    def step(
        self,
        actions: NDArray[np.floating],
        *,
        active: NDArray[np.bool_],
        render: bool | NDArray[np.bool_],
        meanwhile: Callable[[], object] = nothing,
    ) -> SimFrames:
        """Take one control step (1/30 s) on the active tables.

        Args:
            actions: (n, 7) relative actions in [-1, 1].
            active: (n,) bool; a table that is not active keeps its last frame.
            render: Whether to draw both cameras of the active tables; or (n,), of which: the others' images
                are black, or none if nothing was drawn since the reset.
            meanwhile: Called while the workers are at it; if it raises, they are ended.

        Returns:
            n frames; rows of inactive tables repeat their last known frame (images too).

        Raises:
            ValueError: Wrong shapes, or a pool that was not reset.
            SimWorkerError: A worker failed; the pool is closed.
        """
        last = self._frames
        if last is None:
            raise ValueError("the pool has no tables yet: call reset(starts) before step")
        n = len(last)
        if np.shape(actions) != (n, ACTION_DIM) or np.shape(active) != (n,):
            raise ValueError(
                f"need actions ({n}, {ACTION_DIM}) and active ({n},) for {n} tables, "
                f"got {np.shape(actions)} and {np.shape(active)}"
            )
        moves: NDArray[np.float64] = np.asarray(actions, np.float64)
        running, drawn = np.flatnonzero(active), np.broadcast_to(np.asarray(render, np.bool_), n)
        if self._inline is not None:
            meanwhile()
            parts, rows = [self._inline.step(running, moves[running], drawn[running])], [running]
        else:
            count = len(self._workers)
            rows = [running[running % count == k] for k in range(count)]
            requests = [("step", part // count, moves[part], drawn[part]) for part in rows]
            parts = self._ask(requests, meanwhile)
        self._frames = gather_frames(n, parts, rows, last)
        return copy_frames(self._frames)

    def _ask(
        self, requests: Sequence[tuple[Any, ...]], meanwhile: Callable[[], object] = nothing
    ) -> list[SimFrames]:
        try:
            for worker, request in zip(self._workers, requests, strict=True):
                worker.send(*request)
            meanwhile()
            return [worker.receive() for worker in self._workers]
        except BaseException:
            self.close()  # an answer may be under way: the pipes cannot be trusted any more
            raise
