"""Pieces on a Ray cluster of two nodes: as local, also when workers and a node are lost."""

import copy
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parallel_work as work
import pytest
from ray_nodes import MEMORY, two_nodes

from wam.parallel.map import PIECES_AHEAD, RayWorkers, map_pieces, shutdown_workers, worker_count
from wam.parallel.stop import StoppedError, allow_work, request_stop

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]

LIMIT_S = 240.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_nodes() as cluster:
        yield cluster


def run(function: object, pieces: list, count: int = 0) -> list:
    return list(map_pieces(function, pieces, workers=RayWorkers(count), description="test"))  # type: ignore[arg-type]


def wait_until_any(folder: Path, pattern: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not list(folder.glob(pattern)) and time.monotonic() < end:
        time.sleep(0.1)
    assert list(folder.glob(pattern))


def test_all_cores_of_the_cluster_work() -> None:
    assert worker_count(RayWorkers()) == 2
    assert worker_count(RayWorkers(5)) == 5


def test_results_are_those_of_local_workers_to_the_byte_and_in_order() -> None:
    local = [work.array(piece) for piece in range(7)]
    there = run(work.array, list(range(7)))
    assert [pickle.dumps(x) for x in there] == [pickle.dumps(copy.deepcopy(x)) for x in local]
    assert all(x["row"].flags.writeable for x in there)
    assert run(work.double, []) == []


def test_a_failing_piece_is_named_with_its_own_error() -> None:
    with pytest.raises(ZeroDivisionError, match="three is bad") as caught:
        run(work.fail_at_three, list(range(8)))
    assert "test: piece 3 failed: 3" in caught.value.__notes__


def test_each_worker_has_one_thread() -> None:
    assert set(run(work.threads, [0, 1])) == {(2, "1")}


def test_workers_do_not_run_far_ahead_of_the_reader(tmp_path: Path) -> None:
    pieces = [(str(tmp_path), index) for index in range(40)]
    results = map_pieces(work.touch, pieces, workers=RayWorkers(2), description="test")
    assert next(results) == 0
    assert len(list(tmp_path.iterdir())) <= 2 * PIECES_AHEAD
    assert list(results) == list(range(1, 40))


def test_a_requested_stop_ends_a_map() -> None:
    results = map_pieces(time.sleep, [600.0, 600.0], workers=RayWorkers(2), description="test")
    request_stop()
    try:
        with pytest.raises(StoppedError):
            next(results)
    finally:
        allow_work()


def test_pieces_of_a_lost_worker_start_again(tmp_path: Path) -> None:
    assert run(work.die_once, [(str(tmp_path), index) for index in range(8)]) == list(range(8))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_piece_that_always_ends_its_worker_ends_the_map() -> None:
    with pytest.raises(RuntimeError, match="died 3 times at or near piece 1"):
        run(work.die, [0, 1, 2])


def test_pieces_of_a_lost_node_start_again_on_another(cluster: Any, tmp_path: Path) -> None:
    third = cluster.add_node(num_cpus=2, object_store_memory=MEMORY)
    pieces = [(str(tmp_path), index) for index in range(12)]
    results = map_pieces(work.slow_on_a_node, pieces, workers=RayWorkers(4), description="test")
    found = [next(results)]
    wait_until_any(tmp_path, f"{third.node_id} *")
    cluster.remove_node(third, allow_graceful=False)  # killed, not asked to end its pieces first
    assert found + list(results) == list(range(12))
    begun = [int(path.name.split()[1]) for path in tmp_path.iterdir()]
    assert len(begun) > len(set(begun)) == 12  # some were begun twice, elsewhere


def test_without_a_cluster_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    shutdown_workers()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(
        RuntimeError, match=r"no Ray cluster answers at RAY_ADDRESS '127\.0\.0\.1:1' \(.*refused.*start one"
    ):
        run(work.double, [1, 2])
