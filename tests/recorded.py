"""A recorder for CPUs: the operations of PyTorch that a function makes, in order, on the same memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class _Tape(TorchDispatchMode):
    """Notes every operation with the very tensors it was given and gave: addresses, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")  # as CUDA has it
        results = func(*args, **kwargs)
        self.lines.append((func, args, kwargs, results))
        return results

    def replay(self) -> None:
        """Do every operation again and write what it gives to where it gave it."""
        with torch.no_grad():
            for func, args, kwargs, results in self.lines:
                again = func(*args, **kwargs)
                for kept, new in zip(pytree.tree_leaves(results), pytree.tree_leaves(again), strict=True):
                    if isinstance(kept, Tensor) and kept.data_ptr() != new.data_ptr():
                        kept.copy_(new)


class Operations:
    """See ``wam.training.captured.Recorder``."""

    def rehearse(self, work: Callable[[], Any]) -> Any:
        """Plainly."""
        return work()

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """On a tape; what it gave is spoiled, as it is nothing before a graph's first replay."""
        with _Tape() as tape:
            results = work()
        for leaf in pytree.tree_leaves(results):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                leaf.detach().fill_(torch.nan)
        return tape.replay, results
