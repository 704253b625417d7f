"""What nodes keep for each other ends with the run."""

import pytest

from wam.evaluation.pools import borrowed_pool
from wam.hooks import WorkerHooks
from wam.parallel.map import map_pieces
from wam.sim.config import SimConfig


@pytest.mark.slow
@pytest.mark.parametrize("end", ["after_pipeline_run", "on_pipeline_error"])
def test_simulators_and_workers_end_with_the_run(end: str) -> None:
    with borrowed_pool(SimConfig(), workers=1) as pool:
        pass
    first = set(map_pieces(_process, [0, 1], workers=2, description="test"))
    getattr(WorkerHooks(), end)()
    assert pool.closed
    assert not first & set(map_pieces(_process, [0, 1], workers=2, description="test"))
    getattr(WorkerHooks(), end)()


def _process(_: int) -> int:
    import os

    return os.getpid()
