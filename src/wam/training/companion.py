"""A process beside a thread, for work whose steps are small: an interpreter of its own, lock included.

Threads of one interpreter take turns at its lock. A step of a small network is forty operations and gives
the lock back at each, so two clonings side by side took nearly as long as one after the other
(docs/decisions/0005). What a companion publishes, logs and raises arrives in the thread that asked.
"""

import contextlib
import functools
import logging
import multiprocessing
import pickle
import threading
import traceback
from collections.abc import Callable
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, ParamSpec, TypeVar

import torch

from wam.parallel.lifeline import end_with_parent
from wam.parallel.progress import bar_owner, name_bars, place_bars
from wam.parallel.stop import check_stop
from wam.training import metrics
from wam.training.memory import give_back_freed_memory, keep_freed_memory

P = ParamSpec("P")
R = TypeVar("R")

LISTEN_S: Final = 0.5
"""Seconds after which the wait for a companion asks whether the run is ending."""
LEAVE_S: Final = 10.0
"""Seconds that a companion has to leave after it was asked to."""
_THREAD: Final = threading.local()


class LostCompanionError(RuntimeError):
    """The process died over its work."""


class Companion:
    """One process, started at the first call and kept for the next; used by one thread.

    Args:
        row: Row of the terminal in which its progress bars are drawn, from 0.
    """

    def __init__(self, row: int = 0) -> None:
        self._row = row
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an importable function there, with this thread's number of torch threads.

        Args:
            function: What to call.
            args: Picklable.
            kwargs: Picklable.

        Raises:
            LostCompanionError: If the process died.
            StoppedError: If the run is ending; the process is ended then.
            Exception: The function's own, with a note of where it was raised.
        """
        connection = self._connected()
        finished = False
        try:
            connection.send((function, args, kwargs, torch.get_num_threads(), bar_owner()))
            result: R = _listen(connection)
            finished = True
        except _RaisedThereError as raised:
            finished = True
            raise raised.error from None
        except (EOFError, ConnectionError):
            raise LostCompanionError(
                f"the process that ran {getattr(function, '__name__', function)} died (killed for memory?); "
                "run again: it goes on from the last checkpoint"
            ) from None
        finally:
            if not finished:
                self._end()
        return result

    def close(self) -> None:
        """End the process, if there is one."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.send(None)
            if self._process is not None:
                self._process.join(LEAVE_S)
        self._end()

    def _connected(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._row), name="companion")
            self._process.start()
            theirs.close()
        return self._connection

    def _end(self) -> None:
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is not None:
            if process.is_alive():
                process.kill()  # whatever it writes is written whole, or not at all
            process.join()
        if connection is not None:
            connection.close()


def apart(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run in this thread's companion where the thread has one."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        companion: Companion | None = getattr(_THREAD, "companion", None)
        return function(*args, **kwargs) if companion is None else companion.call(function, *args, **kwargs)

    return run


def accompany(companion: Companion | None) -> None:
    """Give this thread a companion, or take it away."""
    _THREAD.companion = companion


class _RaisedThereError(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def _listen(connection: Connection) -> Any:
    """Pass on what the companion publishes and logs, until it gives a result."""
    while True:
        while not connection.poll(LISTEN_S):
            check_stop()
        kind, *content = connection.recv()
        if kind == "metrics":
            metrics.publish(*content)
        elif kind == "log":
            _log(content[0])
        elif kind == "raised":
            raise _RaisedThereError(content[0])
        else:
            return content[0]


def _log(record: logging.LogRecord) -> None:
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


class _Outlet(QueueHandler):
    """What goes to the parent, from any thread; log records among it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)  # type: ignore[arg-type]
        self._connection = connection
        self._guard = threading.Lock()

    def send(self, *message: Any) -> None:
        with self._guard:
            self._connection.send(message)

    def enqueue(self, record: logging.LogRecord) -> None:
        self.send("log", record)


def _serve(connection: Connection, row: int) -> None:
    """Answer calls until asked to leave. Runs in the companion."""
    end_with_parent()
    keep_freed_memory()
    place_bars(row)
    outlet = _Outlet(connection)
    logging.root.handlers = [outlet]
    logging.root.setLevel(logging.INFO)
    metrics.subscribe(lambda values, step: outlet.send("metrics", values, step))
    while (request := connection.recv()) is not None:
        outlet.send(*_answer(*request))
        del request  # and with it all that was worked on
        give_back_freed_memory()


def _answer(
    function: Callable[..., Any], args: Any, kwargs: Any, threads: int, owner: str
) -> tuple[str, Any]:
    torch.set_num_threads(threads)
    name_bars(owner)
    try:
        return "result", function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - raised again in the parent
        return "raised", _portable(error)


def _portable(error: BaseException) -> BaseException:
    """The error with a note of where it was raised; one that cannot travel is put into words."""
    error.add_note(f"in a companion process:\n{traceback.format_exc()}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - any error may have arguments of any kind
        return RuntimeError("\n".join([repr(error), *error.__notes__]))
    return error
