"""How far the run is: one line a node with its time, and the slowest nodes at the end."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from wam.parallel.progress import name_bars

logger = logging.getLogger(__name__)

_SHOWN_STAGES: Final = 12


class ProgressHooks:
    """Times every node, its loads and saves included; nodes may run side by side."""

    def __init__(self) -> None:
        self._guard = threading.Lock()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes."""
        self._total = len(pipeline.nodes)
        self._run_began = time.perf_counter()
        self._began: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Say which node starts, once."""
        self._announce(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say which node starts, where it reads nothing; its bars carry its namespace."""
        self._announce(node)
        name_bars(node.namespace or "")

    @hook_impl
    def after_node_run(self) -> None:
        """Take the name from the bars of what this thread does next."""
        name_bars("")

    @hook_impl
    def on_node_error(self) -> None:
        """Take the name from the bars of what this thread does after the failure, e.g. in a notebook."""
        name_bars("")

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """Count the time of saving to the node."""
        self._seconds[node.name] = time.perf_counter() - self._began[node.name]

    def _announce(self, node: Node) -> None:
        with self._guard:
            if node.name in self._began:
                return
            self._began[node.name] = time.perf_counter()
            number = len(self._began)
        logger.info("[%d/%d] %s", number, self._total, node.name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Show where the time went."""
        total = time.perf_counter() - self._run_began
        logger.info("%d nodes in %.0f s; by kind of node:", len(self._began), total)
        for kind, seconds, count in list(_by_kind(self._seconds))[:_SHOWN_STAGES]:
            logger.info("  %7.1f s  %s x %d", seconds, kind, count)


def _by_kind(seconds: dict[str, float]) -> Iterator[tuple[str, float, int]]:
    kinds: dict[str, list[float]] = {}
    for name, spent in seconds.items():
        kinds.setdefault(name.rsplit(".", 1)[-1], []).append(spent)
    for kind, times in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        yield kind, sum(times), len(times)
