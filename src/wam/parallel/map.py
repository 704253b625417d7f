"""An ordered map over pieces of work: in this process, in processes of this machine, or in a Ray cluster."""

import atexit
import contextlib
import reprlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from wam.parallel.processes import ProcessCrew, shutdown_processes
from wam.parallel.progress import progress
from wam.parallel.ray_crew import RayCrew, disconnect_ray, ray_worker_count
from wam.parallel.stop import StoppedError
from wam.parallel.workers import (
    PIECES_AHEAD,
    Crew,
    LostWorkerError,
    RayWorkers,
    Workers,
    available_workers,
)

__all__ = [
    "PIECES_AHEAD",
    "RayWorkers",
    "Workers",
    "available_workers",
    "map_pieces",
    "shutdown_workers",
    "worker_count",
]

P = TypeVar("P")
R = TypeVar("R")


def map_pieces(
    function: Callable[[P], R],
    pieces: Sequence[P],
    *,
    workers: Workers,
    description: str,
    unit: str = "piece",
) -> Iterator[R]:
    """Apply a function to every piece, results in the order of the pieces, with a progress bar.

    A piece whose worker is lost starts again elsewhere, so whatever a piece writes must be replaced whole.

    Args:
        function: Importable function of one piece (a closure or lambda only runs with ``workers`` 1 or 0).
        pieces: The pieces; each must be picklable when there are workers.
        workers: Processes to use (1 or fewer runs in this process), or workers of a Ray cluster. Results do
            not depend on it.
        description: What is being done, for the bar and for errors.
        unit: One piece in the singular, for the bar.

    Yields:
        Results in order. Work stops running ahead when results are not taken.

    Raises:
        Exception: The piece's own error, with a note that names the piece.
        RuntimeError: If workers died over a piece again and again, or no Ray cluster is there.
    """
    if not isinstance(workers, RayWorkers) and (workers <= 1 or len(pieces) <= 1):
        yield from _map_inline(function, pieces, description, unit)
    elif pieces:
        crew: Crew[P, R]
        crew = (
            RayCrew(function, workers) if isinstance(workers, RayWorkers) else ProcessCrew(function, workers)
        )
        yield from _map_crew(crew, pieces, description, unit)


def worker_count(workers: Workers) -> int:
    """How many work at a time, at least 1."""
    return ray_worker_count(workers) if isinstance(workers, RayWorkers) else max(1, workers)


def shutdown_workers(*, kill: bool = False) -> None:
    """End every kept worker process and leave the Ray cluster; the next :func:`map_pieces` begins anew.

    Args:
        kill: Do not wait for pieces that still run.
    """
    shutdown_processes(kill=kill)
    disconnect_ray()


atexit.register(shutdown_workers)


@contextlib.contextmanager
def _piece(description: str, index: int, piece: object) -> Iterator[None]:
    """Name the piece in whatever goes wrong inside."""
    try:
        yield
    except LostWorkerError as error:
        raise RuntimeError(
            f"{description}: {error} at or near piece {index}, {reprlib.repr(piece)} "
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


def _map_crew(crew: Crew[P, R], pieces: Sequence[P], description: str, unit: str) -> Iterator[R]:
    submitted = 0
    try:
        with progress(len(pieces), description, unit) as bar:
            for index, piece in enumerate(pieces):
                with _piece(description, index, piece):
                    while submitted < min(len(pieces), index + crew.ahead):
                        crew.submit(pieces[submitted])
                        submitted += 1
                    result = crew.take()
                bar.update()
                yield result
    finally:
        crew.leave()
