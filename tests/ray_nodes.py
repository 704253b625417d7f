"""A Ray cluster of two nodes on this machine."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from wam.parallel.map import shutdown_workers

MEMORY: Final = 100 * 2**20
"""Bytes of each node's object store."""


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """Two raylets of one core each, found through ``RAY_ADDRESS``; workers can import ``tests/parallel``."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "parallel"))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        node = {"num_cpus": 1, "object_store_memory": MEMORY}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        cluster.add_node(**node)
        patch.setenv("RAY_ADDRESS", cluster.address)
        try:
            yield cluster
        finally:
            shutdown_workers()
            cluster.shutdown()
