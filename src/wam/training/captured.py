"""A function of tensors whose kernels are launched as one: recorded once as a CUDA graph, then replayed.

A recurrent model's step is thousands of small kernels. Launched one by one, each costs the host more time
than it costs the GPU, which then waits. A graph is launched as a whole::

    first calls    inputs ----------------> function -----------> results      (libraries choose kernels)
    one call       inputs -> kept inputs -> function, recorded -> replayed, compared with plain results
    later calls    inputs -> kept inputs -> replayed -----------> kept results

What is recorded are kernels and addresses. So the function must be one of its inputs alone and of weights
that stay where they are; it must not read the device's numbers on the host, bring any from there, or draw.
"""

import logging
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

logger = logging.getLogger(__name__)

PLAIN_CALLS = 3
"""Before the one that is recorded: libraries choose their kernels, lazy parts are built."""
TOLERANCE = 0.02
"""Largest difference of a replayed result from the plain one, relative to its norm: kernels that add in no
fixed order differ in bf16; a graph that reads what is no longer there differs by everything."""


NEGLIGIBLE = 1e-3
"""Share of the largest norm of a result."""


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

        On one and the same: what a stream's tensors leave free another's do not take.
        """
        main = torch.cuda.current_stream()
        self._side = self._side or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._side.wait_stream(main)
        with torch.cuda.stream(self._side):
            results = work()
        main.wait_stream(self._side)
        return results

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """On the rehearsals' stream, into a graph with memory of its own; other threads may use the GPU."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._side, capture_error_mode="thread_local"):
            results = work()
        return graph.replay, results


class Captured:
    """A function that is recorded after its first calls. Where that fails it stays plain, and says so.

    Args:
        function: Of any tree of tensors and plain values, to any; see the head of this module.
        name: For messages.
        recorder: Records it.
    """

    def __init__(self, function: Callable[..., Any], name: str, recorder: Recorder | None = None) -> None:
        self._function = function
        self._name = name
        self._recorder: Recorder = recorder or CudaGraphs()
        self._plain_calls = 0
        self._given_up = False
        self._replay: Callable[[], None] | None = None
        self._kept: list[Any] = []
        self._results: Any = None

    @property
    def recorded(self) -> bool:
        """Whether calls are replayed by now."""
        return self._replay is not None

    def __call__(self, *inputs: Any) -> Any:
        """What the function gives for these inputs.

        Returns:
            Its results. Those of a replay are overwritten by the next call: copy what is kept longer.
        """
        if self._replay is not None and self._take(inputs):
            self._replay()
            return self._results
        if self._replay is not None or self._given_up:
            return self._function(*inputs)
        results = self._recorder.rehearse(lambda: self._function(*inputs))
        self._plain_calls += 1
        if self._plain_calls > PLAIN_CALLS:
            self._record(inputs, results)
        return results

    def _take(self, inputs: Any) -> bool:
        """Bring inputs to where the recorded ones were; False if they are not alike."""
        leaves = pytree.tree_leaves(inputs)
        if len(leaves) != len(self._kept) or not all(map(_alike, self._kept, leaves)):
            return False
        places = [kept for kept in self._kept if isinstance(kept, Tensor)]
        torch._foreach_copy_(places, [new for new in leaves if isinstance(new, Tensor)])
        return True

    def _record(self, inputs: Any, plain: Any) -> None:
        kept = pytree.tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, inputs)
        try:
            replay, results = self._recorder.record(lambda: self._function(*kept))
            replay()
            worst = _difference(results, plain)
        except RuntimeError as error:
            self._give_up(str(error).splitlines()[0])
            return
        if not worst <= TOLERANCE:
            self._give_up(f"replayed results differ from plain ones by {worst:.2g} of their norm")
            return
        self._replay, self._kept, self._results = replay, pytree.tree_leaves(kept), results

    def _give_up(self, reason: str) -> None:
        self._given_up = True
        logger.warning(
            "%s: its kernels are launched one by one, since they cannot be replayed as one graph (%s); "
            "compute.capture: false asks for that without trying",
            self._name,
            reason,
        )


def _alike(kept: Any, new: Any) -> bool:
    if isinstance(kept, Tensor):
        return isinstance(new, Tensor) and kept.shape == new.shape and kept.dtype == new.dtype
    return bool(kept == new)


def _difference(results: Any, plain: Any) -> float:
    """Largest difference of a tensor of numbers, relative to its norm; waits for the device.

    What is next to nothing beside the others is rounding, of which no two orders of adding make the same.
    """
    pairs = zip(pytree.tree_leaves(results), pytree.tree_leaves(plain), strict=True)
    numbers = [(got.float(), want.float()) for got, want in pairs if _is_numbers(want)]
    if not numbers:
        raise RuntimeError("it gives no tensors that could be compared, or in what they are not found")
    norms = torch.stack([want.norm() for _, want in numbers])
    apart = torch.stack([(got - want).norm() for got, want in numbers])
    relative = apart / (norms + NEGLIGIBLE * norms.max())
    return float(relative.nan_to_num(nan=torch.inf).max())


def _is_numbers(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()
