"""Nodes side by side: as soon as they can, longest chain first, and stopped together."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import pytest
import torch
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

import wam.runner
from wam.parallel.map import available_workers
from wam.parallel.progress import progress
from wam.parallel.stop import StoppedError, check_stop
from wam.runner import ConcurrentRunner, InterruptedRunError, chain_lengths

LIMIT_S = 20


def run(nodes: list[Node], workers: int = 2) -> Mapping[str, Any]:
    pipeline = Pipeline(nodes)
    catalog = DataCatalog({name: MemoryDataset(0) for name in pipeline.inputs()})
    outputs = ConcurrentRunner(max_workers=workers).run(pipeline, catalog, _create_hook_manager())
    return {name: dataset.load() for name, dataset in outputs.items()}


def node(function: Callable[..., Any], inputs: str | list[str], output: str) -> Node:
    return Node(function, inputs, output, name=output)


def test_two_nodes_run_at_the_same_time() -> None:
    meet = threading.Barrier(2, timeout=LIMIT_S)
    outputs = run([node(lambda _: meet.wait() >= 0, "x", name) for name in ("a", "b")])
    assert outputs == {"a": True, "b": True}


def test_a_node_starts_as_soon_as_its_own_inputs_are_there() -> None:
    chain_done = threading.Event()
    outputs = run(
        [
            node(lambda _: chain_done.wait(LIMIT_S), "x", "slow"),
            node(lambda x: x + 1, "x", "first"),
            node(lambda x: x + 1, "first", "second"),
            node(lambda x: chain_done.set() or x, "second", "third"),  # type: ignore[func-returns-value]
        ]
    )
    assert outputs == {"slow": True, "third": 2}


def test_what_has_the_longest_chain_behind_it_starts_first() -> None:
    began: list[str] = []

    def note(name: str) -> Callable[[int], int]:
        return lambda x: began.append(name) or x  # type: ignore[func-returns-value]

    nodes = [
        node(lambda _: time.sleep(0.1) or 0, "x", "root"),
        *[node(note(f"leaf{k}"), "root", f"leaf{k}") for k in range(3)],
        node(note("long1"), "root", "long1"),
        node(note("long2"), "long1", "long2"),
        node(note("long3"), "long2", "long3"),
    ]
    lengths = {item.name: length for item, length in chain_lengths(Pipeline(nodes)).items()}
    assert lengths == {"root": 4, "leaf0": 1, "leaf1": 1, "leaf2": 1, "long1": 3, "long2": 2, "long3": 1}
    run(nodes, workers=1)
    assert began.index("long1") == 0
    assert sorted(began) == ["leaf0", "leaf1", "leaf2", "long1", "long2", "long3"]


def test_every_node_gets_its_share_of_the_cores() -> None:
    before = torch.get_num_threads()
    meet = threading.Barrier(2, timeout=LIMIT_S)

    def threads(_: int) -> int:
        meet.wait()
        return torch.get_num_threads()

    outputs = run([node(threads, "x", "a"), node(threads, "x", "b")])
    assert set(outputs.values()) == {max(1, available_workers() // 2)}
    assert torch.get_num_threads() == before


def test_threads_that_start_side_by_side_have_a_companion_each(monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowList(list[object]):
        def append(self, item: object) -> None:
            super().append(item)
            time.sleep(0.05)

    served: list[tuple[int, object]] = []
    monkeypatch.setattr(wam.runner, "Companion", lambda row: mock.Mock(row=row))
    monkeypatch.setattr(
        wam.runner, "accompany", lambda companion: served.append((threading.get_ident(), companion))
    )
    executor = wam.runner._NodeExecutor(2, 1, lambda _: 0, companions=True)
    executor._companions = SlowList()  # type: ignore[assignment]
    both = threading.Barrier(2)
    with executor:
        for _ in range(2):
            executor.submit(mock.Mock(side_effect=lambda: both.wait(timeout=10)))
    assert len({thread for thread, _ in served}) == 2
    assert sorted(companion.row for _, companion in served) == [0, 1]


def test_a_failure_ends_its_neighbour_and_starts_nothing_more() -> None:
    running, failed = threading.Event(), threading.Event()
    ended: list[bool] = []
    began_late: list[bool] = []

    def neighbour(_: int) -> int:
        with progress(10**9, "long", "step") as bar:
            running.set()
            try:
                while True:
                    time.sleep(0.01)
                    bar.update()
            except StoppedError:
                ended.append(True)
                raise

    def fail(_: int) -> int:
        running.wait(LIMIT_S)
        failed.set()
        raise ZeroDivisionError("the node's own")

    later = [node(lambda x: began_late.append(failed.is_set()) or x, "x", f"z{k}") for k in range(5)]  # type: ignore[func-returns-value]
    chain = node(lambda a, b: (a, b), ["a", "b"], "c")
    with pytest.raises(ZeroDivisionError, match="the node's own"):
        run([node(neighbour, "x", "a"), node(fail, "x", "b"), chain, *later])
    assert ended == [True]
    assert not any(began_late)
    check_stop()  # the next run may work


@pytest.fixture
def heeded_interrupt() -> Iterator[None]:
    """The main thread takes SIGINT as from a keyboard, whatever started the tests made of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupt")
def test_an_interrupt_ends_the_run_with_what_to_do_next() -> None:
    def interrupt(_: int) -> int:
        # A signal to that thread, as it wakes it from waiting: a mere note to Python would not.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return 0

    def long(_: int) -> int:
        with progress(10**9, "long", "step") as bar:
            while True:
                time.sleep(0.01)
                bar.update()

    with pytest.raises(InterruptedRunError, match="--only-missing-outputs"):
        run([node(interrupt, "x", "a"), node(long, "x", "b")])
    check_stop()
