"""A function of tensors whose kernels are launched as one: recorded once as a CUDA graph, then replayed.

A recurrent model's step is thousands of small kernels. Launched one by one, each costs the host more time
than it costs the GPU, which then waits. A graph is launched as a whole::

    first calls    inputs ------------------------> function ---> results      (libraries choose kernels)
    one call       inputs ------------------------> function ---> results, and then
                   the call's before: kept inputs -> function, recorded
                   inputs -> kept inputs ---------> replayed ---> compared with those results
    later calls    inputs -> kept inputs ---------> replayed ---> kept results

What is recorded are kernels and addresses. So the function must be one of its inputs alone and of weights
that stay where they are; it must not read the device's numbers on the host, bring any from there, or draw.
A graph keeps the memory of one call for itself as long as it lives.
"""

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

logger = logging.getLogger(__name__)

PLAIN_CALLS = 3
"""Before the one that is recorded: libraries choose their kernels, lazy parts are built."""
MOST_RECORDINGS = 4
"""Of one function, each for inputs of other shapes; whatever else comes is done plainly."""
TOLERANCE = 0.02
"""Largest difference of a replayed result from the plain one, relative to its norm: kernels that add in no
fixed order differ in bf16."""
NEGLIGIBLE = 1e-4
"""Share of the largest norm of the results of its kind, which a result's norm is taken for at least: what is
next to nothing is rounding, of which no two orders of adding make the same."""
_RECORDING = threading.RLock()
"""Held while anything is rehearsed or recorded: a recording that begins waits for the whole device, which
would spoil another's."""


class Recorder(Protocol):
    """Makes a replay of what a function does."""

    def rehearse(self, work: Callable[[], Any]) -> Any:
        """Do the work plainly, in whatever way it has to be done before it may be recorded."""
        ...

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """What does the work again, into the same tensors; and those. They may hold nothing until then."""
        ...


class CudaGraphs:
    """Records on the present GPU."""

    def __init__(self) -> None:
        self._side: torch.cuda.Stream | None = None

    def rehearse(self, work: Callable[[], Any]) -> Any:
        """On a stream of its own: what is built on the way must not belong to the main one.

        On one and the same each time: memory that is freed on one stream is not used again by another.
        """
        main = torch.cuda.current_stream()
        self._side = self._side or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._side.wait_stream(main)
        with torch.cuda.stream(self._side):
            results = work()
        main.wait_stream(self._side)
        return results

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """On the rehearsals' stream, into a graph with memory of its own.

        Other threads may launch work meanwhile, but not wait for the whole device.
        """
        graph = torch.cuda.CUDAGraph()
        # a recording that fails leaves the thread on its stream, but for the outer context
        with (
            _nothing_collected(),
            torch.cuda.stream(self._side),
            torch.cuda.graph(graph, stream=self._side, capture_error_mode="thread_local"),
        ):
            results = work()
        return graph.replay, results


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Collect garbage before, and none within: a graph that dies while another is recorded spoils it."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass
class _Recording:
    """What is known of inputs of one kind.

    Attributes:
        plain_calls: So far.
        kept: Leaves of the inputs of the call before, then of the recorded ones.
        tree: Those inputs.
        replay: Does the work again; None until there is a recording that was found to be right.
        results: Of a replay.
    """

    plain_calls: int = 0
    kept: list[Any] = field(default_factory=list)
    tree: Any = None
    replay: Callable[[], None] | None = None
    results: Any = None

    def take(self, inputs: Any) -> None:
        """Bring inputs to where the kept ones are."""
        places = [kept for kept in self.kept if isinstance(kept, Tensor)]
        torch._foreach_copy_(places, [new for new in pytree.tree_leaves(inputs) if isinstance(new, Tensor)])

    def keep(self, inputs: Any) -> None:
        """Keep copies of inputs."""
        self.tree = pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, inputs)
        self.kept = pytree.tree_leaves(self.tree)


class Captured:
    """A function that is recorded after its first calls. Where that fails it stays plain, and says so.

    Args:
        function: Of any tree of tensors and plain values, to any; see the head of this module. It must not
            hold what holds this.
        name: For messages.
        recorder: Records it; CUDA graphs by default.
    """

    def __init__(self, function: Callable[..., Any], name: str, recorder: Recorder | None = None) -> None:
        self._function = function
        self._name = name
        self._recorder: Recorder = recorder or CudaGraphs()
        self._given_up = False
        self._recordings: dict[Any, _Recording] = {}

    @property
    def recorded(self) -> bool:
        """Whether calls like the first one are replayed by now."""
        return next((one.replay is not None for one in self._recordings.values()), False)

    def __call__(self, *inputs: Any) -> Any:
        """What the function gives for these inputs.

        Returns:
            Its results. Those of a replay are overwritten by the next call: copy what is kept longer.
        """
        recording = self._recording_of(inputs)
        if recording is None:
            return self._function(*inputs)
        if recording.replay is not None:
            recording.take(inputs)
            recording.replay()
            return recording.results
        with _RECORDING:
            results = self._recorder.rehearse(lambda: self._function(*inputs))
            recording.plain_calls += 1
            if recording.plain_calls == PLAIN_CALLS:
                recording.keep(inputs)
            elif recording.plain_calls > PLAIN_CALLS:
                self._record(recording, inputs, results)
        return results

    def _recording_of(self, inputs: Any) -> _Recording | None:
        """Of inputs like these; None where they are to be worked on plainly."""
        if self._given_up:
            return None
        kind = tuple(map(_kind, pytree.tree_leaves(inputs)))
        if kind not in self._recordings and len(self._recordings) == MOST_RECORDINGS:
            return None
        return self._recordings.setdefault(kind, _Recording())

    def _record(self, recording: _Recording, inputs: Any, plain: Any) -> None:
        """Record the call before this one, and compare a replay from this one's inputs with its results."""
        tree = recording.tree
        try:
            replay, results = self._recorder.record(lambda: self._function(*tree))
        except RuntimeError as error:
            self._give_up(str(error).splitlines()[0])
            return
        recording.take(inputs)
        replay()
        worst = _difference(results, plain)
        if worst <= TOLERANCE:
            recording.replay, recording.results = replay, results
        else:
            self._give_up(f"a replayed result differs from the plain one by {worst:.2g} of its norm")

    def _give_up(self, reason: str) -> None:
        self._given_up = True
        self._recordings.clear()
        logger.warning(
            "%s: its kernels are launched one by one, since they cannot be replayed as one graph (%s); if "
            "memory is short now, start again with compute.capture: false, which does not try",
            self._name,
            reason,
        )


def _kind(leaf: Any) -> Any:
    return (leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf


def _difference(results: Any, plain: Any) -> float:
    """Largest difference of a tensor of numbers, relative to its norm; waits for the device.

    Results of one kind are those of one element of the tuple that is given.
    """
    kinds = zip(*(x if isinstance(x, tuple) else (x,) for x in (results, plain)), strict=True)
    found = [worst for pair in kinds for worst in _difference_of_kind(*pair)]
    if not found:
        raise RuntimeError(f"a function that is to be replayed gives no tensor of numbers, but {plain!r}")
    return float(torch.stack(found).nan_to_num(nan=torch.inf).max())


def _difference_of_kind(results: Any, plain: Any) -> list[Tensor]:
    pairs = zip(pytree.tree_leaves(results), pytree.tree_leaves(plain), strict=True)
    numbers = [(got.float(), want.float()) for got, want in pairs if _is_numbers(want)]
    if not numbers:
        return []
    norms = torch.stack([want.norm() for _, want in numbers])
    apart = torch.stack([(got - want).norm() for got, want in numbers])
    least = (NEGLIGIBLE * norms.max()).clamp(min=torch.finfo(norms.dtype).tiny)
    return list((apart / torch.maximum(norms, least)).unbind())


def _is_numbers(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()
