"""Kedro's ThreadRunner, made to share a machine between nodes, to start with what takes longest, and to stop.

Small models gain nothing from a second thread inside an operation, but two of them side by side, one thread
each, do nearly twice the work: torch lets go of Python's lock while it computes. Where operations are too
short for that, a thread has a companion process.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final

import torch
from click import ClickException
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import ThreadRunner
from kedro.runner.task import Task
from pluggy import PluginManager

from wam.parallel.map import available_workers
from wam.parallel.stop import allow_work, request_stop
from wam.training.companion import Companion, accompany
from wam.training.memory import give_back_freed_memory, keep_freed_memory

SETTLE_S: Final = 0.02
"""How long a thread waits for what is submitted in the same breath, before it takes what matters most."""


class InterruptedRunError(ClickException):
    """The run was ended from the keyboard."""


class ConcurrentRunner(ThreadRunner):
    """Runs up to ``max_workers`` nodes at once, each as soon as its inputs are there, in threads.

    Among nodes that wait, the one with the longest chain of nodes behind it starts first. The first failure,
    or Ctrl-C, starts nothing more and ends the nodes beside it at the next step of their loops; finished
    outputs and half-done work stay for the next run.

    Args:
        max_workers: Nodes at once; each gets an equal share of the cores for torch's operations.
        is_async: Not supported, as in ``ThreadRunner``.
        companions: Give each thread a process for the nodes that ask for one (``training.companion``).
    """

    def __init__(self, max_workers: int = 2, is_async: bool = False, *, companions: bool = False) -> None:
        super().__init__(max_workers=max_workers, is_async=is_async)
        self.nodes_at_once: Final = max_workers
        self.companions: Final = companions
        self._chain: dict[Node, int] = {}

    def _get_executor(self, max_workers: int) -> Executor:
        threads = max(1, available_workers() // self.nodes_at_once)
        return _NodeExecutor(max_workers, threads, self._rank, companions=self.companions)

    def _rank(self, node: Node) -> tuple[int, str]:
        return -self._chain[node], node.name

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        self._chain = chain_lengths(pipeline)
        keep_freed_memory()  # before the threads start: they take on the allocator's settings
        threads = torch.get_num_threads()
        allow_work()
        try:
            super()._run(pipeline, catalog, hook_manager, run_id)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "interrupted; what was finished is kept: the same command with --only-missing-outputs goes on"
            ) from None
        finally:
            allow_work()
            torch.set_num_threads(threads)


def chain_lengths(pipeline: Pipeline) -> dict[Node, int]:
    """For each node the number of nodes on the longest way from it to the end, itself included."""
    parents = pipeline.node_dependencies
    lengths = dict.fromkeys(pipeline.nodes, 1)
    for node in reversed(pipeline.nodes):
        for parent in parents[node]:
            lengths[parent] = max(lengths[parent], lengths[node] + 1)
    return lengths


class _NodeExecutor(ThreadPoolExecutor):
    """Threads that take the waiting task of lowest rank, and that drop all tasks when their user fails."""

    def __init__(
        self, max_workers: int, torch_threads: int, rank: Callable[[Node], Any], *, companions: bool
    ) -> None:
        super().__init__(max_workers, "node", self._prepare_thread, (torch_threads, companions))
        self._companions: list[Companion] = []
        self._rank = rank
        self._order = itertools.count()
        self._guard = threading.Lock()
        self._waiting: list[tuple[Any, int, Future[Any], Task]] = []
        self._failed = False

    def _prepare_thread(self, torch_threads: int, companions: bool) -> None:
        torch.set_num_threads(torch_threads)  # torch keeps their number for each thread apart
        if companions:
            with self._guard:  # threads start side by side, and a companion serves one of them
                companion = Companion(row=len(self._companions))
                self._companions.append(companion)
            accompany(companion)

    def submit(self, task: Task, /) -> "Future[Any]":  # type: ignore[override]
        future: Future[Any] = Future()
        with self._guard:
            heapq.heappush(self._waiting, (self._rank(task.node), next(self._order), future, task))
        super().submit(self._run_first)
        return future

    def _run_first(self) -> None:
        time.sleep(SETTLE_S)
        with self._guard:
            _, _, future, task = heapq.heappop(self._waiting)
        if self._failed:
            return  # the user leaves with the failure and waits for nothing else
        try:
            result = task()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the future
            self._failed = True
            future.set_exception(error)
        else:
            future.set_result(result)
        give_back_freed_memory()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            request_stop()
        self.shutdown(wait=True, cancel_futures=kind is not None)
        for companion in self._companions:
            companion.close()
