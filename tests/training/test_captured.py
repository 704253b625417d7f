"""Functions that are recorded and replayed: by a recorder of a CPU's operations in place of a CUDA graph."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from recorded import Operations
from torch import Tensor

from wam.training.captured import PLAIN_CALLS, Captured


def captured(function: Callable[..., Any]) -> tuple[Captured, list[int]]:
    """The function as recorded, and how often its own code ran."""
    runs: list[int] = []

    def counted(*inputs: Any) -> Any:
        runs.append(1)
        return function(*inputs)

    return Captured(counted, "sums", Operations()), runs


def test_later_calls_are_replayed_on_their_own_inputs() -> None:
    weight = torch.ones(3)
    function, runs = captured(lambda x, options: {"y": (x["a"] * weight).sum() * options})
    for call in range(PLAIN_CALLS + 4):
        weight.fill_(call + 1.0)  # weights stay where they are, and change
        found = function({"a": torch.full((3,), float(call))}, 2.0)
        assert float(found["y"]) == 3 * call * (call + 1.0) * 2
        assert function.recorded == (call >= PLAIN_CALLS)
    assert len(runs) == PLAIN_CALLS + 2  # the last plain one, and the one that is recorded


def test_what_is_not_like_the_recorded_inputs_is_done_plainly() -> None:
    function, runs = captured(lambda x, scale: x.sum() * scale)
    for _ in range(PLAIN_CALLS + 1):
        function(torch.ones(4), 1.0)
    before = len(runs)
    assert [float(function(torch.ones(n), s)) for n, s in ((4, 1.0), (3, 1.0), (4, 2.0))] == [4, 3, 8]
    assert len(runs) == before + 2


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x * float(x.sum()), "not permitted"),  # a number that the host reads
        (lambda x: x + 1e3 * torch.rand(2), "differ from plain ones"),
    ],
    ids=["read", "drawn"],
)
def test_what_cannot_be_replayed_is_done_plainly_and_said(
    function: Callable[[Tensor], Tensor], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorded, runs = captured(function)
    with caplog.at_level(logging.WARNING):
        for call in range(PLAIN_CALLS + 3):
            recorded(torch.full((2,), 1.0 + call))
    assert not recorded.recorded
    assert len(runs) == PLAIN_CALLS + 4  # every call, and the one that was recorded in vain
    (line,) = caplog.messages
    assert line.startswith("sums: its kernels are launched one by one")
    assert reason in line
    assert "compute.capture: false" in line
