import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import parallel_work as work
import pytest
from processes import alive, wait_until_all_ended

from wam.parallel.map import PIECES_AHEAD, available_workers, map_pieces, shutdown_workers
from wam.parallel.stop import StoppedError, allow_work, request_stop


@pytest.fixture(scope="module", autouse=True)
def _end_workers() -> Iterator[None]:
    yield
    shutdown_workers()


def run(function: object, pieces: list, workers: int = 1) -> list:
    return list(map_pieces(function, pieces, workers=workers, description="test"))  # type: ignore[arg-type]


def test_inline_results_are_in_order() -> None:
    assert run(work.double, [3, 1, 2]) == [6, 2, 4]
    assert run(work.double, []) == []


def test_inline_failure_is_the_pieces_own_and_named() -> None:
    with pytest.raises(ZeroDivisionError, match="three is bad") as caught:
        run(work.fail_at_three, [1, 3, 5])
    assert caught.value.__notes__ == ["test: piece 1 failed: 3"]


def test_inline_is_lazy(tmp_path: Path) -> None:
    results = map_pieces(
        work.touch, [(str(tmp_path), index) for index in range(5)], workers=1, description="test"
    )
    next(results)
    assert len(list(tmp_path.iterdir())) == 1
    results.close()  # type: ignore[attr-defined]


def test_there_is_at_least_one_worker() -> None:
    assert available_workers() >= 1


@pytest.mark.slow
def test_workers_give_the_same_results_in_order_and_are_kept(tmp_path: Path) -> None:
    processes = set(run(work.meet, [str(tmp_path)] * 2, workers=2))
    results = run(work.slow_when_even, list(range(8)), workers=2)
    assert [piece for piece, _ in results] == list(range(8))
    assert len(processes) == 2
    assert {process for _, process in results} <= processes


@pytest.mark.slow
def test_a_failing_piece_in_a_worker_is_named_and_the_next_map_works() -> None:
    with pytest.raises(ZeroDivisionError, match="three is bad") as caught:
        run(work.fail_at_three, list(range(8)), workers=2)
    assert "test: piece 3 failed: 3" in caught.value.__notes__
    assert run(work.double, [1, 2, 3], workers=2) == [2, 4, 6]


@pytest.mark.slow
def test_workers_do_not_run_far_ahead_of_the_reader(tmp_path: Path) -> None:
    results = map_pieces(
        work.touch, [(str(tmp_path), index) for index in range(40)], workers=2, description="test"
    )
    assert next(results) == 0
    assert len(list(tmp_path.iterdir())) <= 2 * PIECES_AHEAD
    assert list(results) == list(range(1, 40))


@pytest.mark.slow
def test_a_dead_worker_is_reported_and_replaced() -> None:
    with pytest.raises(RuntimeError, match="a worker process died 3 times at or near piece"):
        run(work.die, [0, 1, 2, 3], workers=2)
    assert run(work.double, [1, 2], workers=2) == [2, 4]


@pytest.mark.slow
def test_each_worker_has_one_thread() -> None:
    assert set(run(work.threads, [0, 1], workers=2)) == {(2, "1")}


@pytest.mark.slow
def test_works_from_a_command_line_snippet() -> None:
    code = (
        "import operator; from wam.parallel.map import map_pieces; "
        "print(list(map_pieces(operator.neg, [1, 2, 3], workers=2, description='snippet')))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert finished.stdout.strip() == "[-1, -2, -3]"


@pytest.mark.slow
def test_maps_of_two_threads_share_workers_and_keep_their_own_results() -> None:
    results: dict[int, list[tuple[int, int]]] = {}

    def collect(first: int) -> None:
        results[first] = run(work.slow_when_even, list(range(first, first + 12)), workers=2)

    threads = [threading.Thread(target=collect, args=(first,)) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for first, pairs in results.items():
        assert [piece for piece, _ in pairs] == list(range(first, first + 12))
    assert len({process for pairs in results.values() for _, process in pairs}) == 2


@pytest.mark.slow
def test_a_failure_in_one_thread_leaves_the_map_of_another_alone() -> None:
    done: list[int] = []
    slow = threading.Thread(
        target=lambda: done.extend(p for p, _ in run(work.slow_when_even, list(range(30)), workers=2))
    )
    slow.start()
    with pytest.raises(ZeroDivisionError):
        run(work.fail_at_three, list(range(8)), workers=2)
    slow.join()
    assert done == list(range(30))


@pytest.mark.slow
def test_a_requested_stop_ends_a_map_that_waits_for_a_piece() -> None:
    results = map_pieces(time.sleep, [60.0, 60.0, 60.0], workers=2, description="test")
    timer = threading.Timer(1.0, request_stop)
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(StoppedError):
            next(results)
    finally:
        allow_work()
        timer.cancel()
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_pieces_of_a_worker_that_dies_start_again(tmp_path: Path) -> None:
    pieces = [(str(tmp_path), index) for index in range(8)]
    assert run(work.die_once, pieces, workers=2) == list(range(8))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_workers_end_when_the_run_is_killed_outright(tmp_path: Path) -> None:
    """One of them works, the other waits for work; nobody is left to tell them."""
    pieces = [(str(tmp_path), 0.0), (str(tmp_path), 600.0)]
    code = (
        f"import sys; sys.path.insert(0, {str(Path(work.__file__).parent)!r})\n"
        "import parallel_work as work; from wam.parallel.map import map_pieces\n"
        f"for _ in map_pieces(work.stay, {pieces}, workers=2, description='test'): print('idle', flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "idle\n"
        assert len(alive(tmp_path)) == 2
        run.kill()
    wait_until_all_ended(tmp_path, limit_s=20)
