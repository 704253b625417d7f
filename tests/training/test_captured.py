"""Functions that are recorded and replayed: by a recorder of a CPU's operations in place of a CUDA graph."""

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from recorded import Operations
from torch import Tensor

from wam.training.captured import MOST_RECORDINGS, PLAIN_CALLS, Captured, CudaGraphs, _difference


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
        (lambda x: x + 1e3 * torch.rand(2), "differs from the plain one"),
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


def test_inputs_of_other_shapes_have_a_recording_of_their_own() -> None:
    function, runs = captured(lambda x: (x * 2).sum())
    for call in range(PLAIN_CALLS + 3):
        assert [float(function(torch.full((n,), float(call)))) for n in (2, 5)] == [4 * call, 10 * call]
    assert len(runs) == 2 * (PLAIN_CALLS + 2)
    kinds = len(function._recordings)
    for n in range(6, 12):
        function(torch.ones(n))
    assert [kinds, len(function._recordings)] == [2, MOST_RECORDINGS]


def test_a_replay_is_compared_on_other_inputs_than_were_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """A number of the recorded inputs that was kept by value would pass for right on those alone."""
    function, _ = captured(lambda x: x + x.numpy()[0].item())
    for call in range(PLAIN_CALLS + 2):
        assert float(function(torch.full((1,), 1.0 + call))) == 2 * (1.0 + call)
    assert not function.recorded
    assert "differs from the plain one" in caplog.text


@pytest.mark.parametrize("part", [0, 1])
def test_a_small_wrong_result_is_not_hidden_by_a_large_one(part: int) -> None:
    """Results of one kind are measured against each other: gradients not against a loss of thousands."""
    results = torch.tensor(9e3), [torch.ones(4), torch.full((4,), 0.01)]
    wrong = torch.tensor(9e3), [torch.ones(4), torch.full((4,), 0.01)]
    wrong[1][part].zero_()
    assert _difference(results, results) == 0
    assert _difference(wrong, results) == pytest.approx(1)


def test_the_function_goes_when_its_owner_goes() -> None:
    class Owner:
        def __init__(self) -> None:
            self.weight = torch.ones(1)
            self.call = Captured(lambda x, weight=self.weight: x * weight, "owner", Operations())

    owner = Owner()
    gone = weakref.ref(owner)
    gc.disable()
    try:
        for _ in range(PLAIN_CALLS + 2):
            owner.call(torch.ones(1))
        del owner
        assert gone() is None
    finally:
        gc.enable()


def test_a_recording_that_fails_gives_the_thread_its_stream_back(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []

    @contextmanager
    def stream(_side: object) -> Iterator[None]:
        entered.append("in")
        try:
            yield
        finally:
            entered.append("out")

    class Graph:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> None:
            entered.append("recording")

        def __exit__(self, *_: object) -> None:
            raise RuntimeError("previous error during capture")  # before PyTorch leaves its own stream

    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", Graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    with pytest.raises(RuntimeError, match="previous error"):
        CudaGraphs().record(lambda: 1)
    assert entered == ["in", "recording", "out"]
    assert gc.isenabled()
