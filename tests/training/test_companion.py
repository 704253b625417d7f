"""Work in a process beside a thread: as if it were done here."""

import logging
import os
import threading
import time
from collections.abc import Iterator

import companion_work as work
import pytest
import torch

from wam.parallel.stop import StoppedError, allow_work, request_stop
from wam.training import metrics
from wam.training.companion import Companion, LostCompanionError, accompany, apart

pytestmark = pytest.mark.slow


@pytest.fixture
def companion() -> Iterator[Companion]:
    made = Companion()
    yield made
    made.close()


def test_results_figures_and_logs_arrive_where_it_was_asked(
    companion: Companion, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[dict[str, float], int]] = []
    unsubscribe = metrics.subscribe(lambda values, step: seen.append((values, step)))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with caplog.at_level(logging.INFO, "wam"):
            first, second = (companion.call(work.describe, x) for x in (4, 5))
    finally:
        torch.set_num_threads(before)
        unsubscribe()
    assert (first["double"], second["double"]) == (8, 10)
    assert first["pid"] == second["pid"] != os.getpid()
    assert first["threads"] == 1
    assert seen == [({"x": 4.0}, 3), ({"x": 5.0}, 3)]
    assert [record.getMessage() for record in caplog.records] == ["working on 4", "working on 5"]


def test_its_errors_are_raised_here_and_it_works_on(companion: Companion) -> None:
    with pytest.raises(ValueError, match="the drawer is stuck") as caught:
        companion.call(work.fail, "the drawer is stuck")
    assert "companion_work.py" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="OddError"):
        companion.call(work.fail_oddly)
    assert companion.call(work.describe, 1)["double"] == 2


def test_a_death_is_named_and_another_process_takes_over(companion: Companion) -> None:
    with pytest.raises(LostCompanionError, match=r"die died .*run again"):
        companion.call(work.die)
    assert companion.call(work.describe, 1)["double"] == 2


def test_it_ends_when_the_run_ends(companion: Companion) -> None:
    companion.call(work.describe, 1)
    process = companion._process
    assert process is not None
    threading.Timer(0.3, request_stop).start()
    begin = time.perf_counter()
    try:
        with pytest.raises(StoppedError):
            companion.call(work.sleep, 60)
    finally:
        allow_work()
    assert time.perf_counter() - begin < 30
    assert not process.is_alive()


def test_apart_goes_to_the_threads_companion_and_stays_here_without_one(companion: Companion) -> None:
    function = apart(work.describe)
    assert function.__name__ == "describe"
    assert function(3)["pid"] == os.getpid()
    accompany(companion)
    try:
        assert function(3)["pid"] != os.getpid()
    finally:
        accompany(None)
