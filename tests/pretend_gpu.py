"""A GPU for machines without one: tensors on it are computed on the CPU, and refuse to be mixed with others.

What a real one refuses is refused here: an operation on tensors of both devices, or NumPy's hands on memory
that it cannot reach. What it allows is allowed: numbers without axes from the CPU, indices from there, and
copies. How quick or exact a GPU is it cannot tell.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from unittest import mock

import torch
from recorded import Operations
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

GPU = torch.device("cuda", 0)
_DEVICE = Tensor.device.__get__
_READS = {Tensor.numpy, Tensor.__array__}
_WAITS = {
    *(Tensor.item, Tensor.tolist, Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.__index__),
    *(Tensor.cpu, Tensor.nonzero, torch.nonzero, Tensor.masked_select, torch.masked_select, torch.unique),
}
"""What cannot go on before the GPU has caught up."""
_BRINGS = {Tensor.new_tensor, torch.tensor, torch.as_tensor, torch.asarray}
"""What brings numbers from the host's memory."""
_COPIES = {Tensor.copy_, Tensor.cpu, Tensor.to, Tensor.type_as}
_INDEXED = {Tensor.__getitem__}


class MixedDevicesError(RuntimeError):
    """What a GPU would not have done."""


class OnGpu(Tensor):
    """A tensor that is taken to be on the GPU.

    Attributes:
        waits: Names of the operations so far for which the host had to wait.
        recording: Whether what is done is recorded as a graph: then nothing may wait, or come from the host.
    """

    waits: ClassVar[list[str]] = []
    recording: ClassVar[bool] = False

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == _DEVICE:
            return GPU
        if func == Tensor.is_cuda.__get__:
            return True
        if func is torch._has_compatible_shallow_copy_type:
            return False  # a module that is moved gets new parameters
        if func in _WAITS or (func is Tensor.to and _wanted(args[1:], kwargs) == "cpu"):
            _refuse_recording(func)
            cls.waits.append(func.__name__)
        if func in _INDEXED and _from_host(args[1]):
            _refuse_recording(func)
            cls.waits.append("__getitem__ with indices of the host")
        if func in _BRINGS or (func is Tensor.copy_ and not isinstance(args[1], OnGpu)):
            _refuse_recording(func)
        if func in _READS:
            raise MixedDevicesError(f"{func.__name__} of a tensor on the GPU; copy it with .cpu() first")
        if func is Tensor.cpu or (func is Tensor.to and _wanted(args[1:], kwargs) == "cpu"):
            return _plain(args[0]).to(*_on_cpu(args[1:]), **_on_cpu(kwargs))
        if func not in _COPIES:
            _refuse_mixed(func, args[:1] if func in _INDEXED else args, kwargs)
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **kwargs)
        stays = func is Tensor.copy_ or func is Tensor.__setitem__
        return args[0] if stays else _on_gpu(found)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = self.detach().clone()
        made = nn.Parameter(copied, self.requires_grad) if isinstance(self, nn.Parameter) else copied
        memo[id(self)] = made
        return made


class _Factories(TorchFunctionMode):
    """Makes tensors where they are asked for, and brings them there."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        moves = func is Tensor.to or func is Tensor.cuda
        wanted = _wanted(args[1:] if moves else (), kwargs)
        if wanted != "cuda":
            return func(*args, **kwargs)
        if func in _BRINGS or (moves and not isinstance(args[0], OnGpu)):
            _refuse_recording(func)
        if moves and not isinstance(args[0], OnGpu) and args[0].dim() > 0 and not kwargs.get("non_blocking"):
            OnGpu.waits.append(func.__name__)  # from memory that the GPU cannot fetch by itself
        found = func(*(_on_cpu(args) if moves else args), **_on_cpu(kwargs))
        return _on_gpu(
            found.clone() if moves and found is args[0] and not isinstance(found, OnGpu) else found
        )


def _from_host(index: Any) -> bool:
    """Whether an index is, or holds, numbers of the host, or one that the host would have to read."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(part, list)
        or (isinstance(part, Tensor) and not isinstance(part, OnGpu))
        or (isinstance(part, Tensor) and part.dim() == 0 and part.dtype is not torch.bool)
        for part in parts
    )


def _wanted(args: Sequence[Any], kwargs: dict[str, Any]) -> str | None:
    """Kind of device that is asked for; None where none is."""
    for value in (*args, kwargs.get("device")):
        if isinstance(value, torch.device):
            return value.type
        if isinstance(value, str):
            return torch.device(value).type
        if isinstance(value, Tensor):
            return value.device.type
    return None


def _on_cpu(values: Any) -> Any:
    """Arguments that ask for any device, as they ask for the CPU."""
    cpu = torch.device("cpu")
    if isinstance(values, dict):
        return {key: cpu if key == "device" else value for key, value in values.items()}
    return tuple(cpu if isinstance(value, torch.device | str) else _cpu_like(value) for value in values)


def _cpu_like(value: Any) -> Any:
    return _plain(value) if isinstance(value, OnGpu) else value


def _on_gpu(found: Any) -> Any:
    if isinstance(found, Tensor) and not isinstance(found, OnGpu):
        return found.as_subclass(OnGpu)
    if isinstance(found, tuple) and hasattr(found, "_fields"):
        return type(found)(*(_on_gpu(value) for value in found))
    if isinstance(found, tuple | list):
        kept = [_on_gpu(value) for value in found]
        return kept if isinstance(found, list) else type(found)(kept)
    return found


def _plain(tensor: Tensor) -> Tensor:
    return tensor.as_subclass(Tensor)


def _refuse_mixed(func: Callable[..., Any], args: Any, kwargs: Any) -> None:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    there = [value for value in tensors if not isinstance(value, OnGpu) and value.dim() > 0]
    if there and len(there) < len(tensors):
        shapes = [tuple(value.shape) for value in there]
        raise MixedDevicesError(
            f"{getattr(func, '__name__', func)}: {shapes} are on the CPU, others on the GPU"
        )


def _refuse_recording(func: Callable[..., Any]) -> None:
    if OnGpu.recording:
        name = getattr(func, "__name__", func)
        raise RuntimeError(f"{name}: operation not permitted when stream is capturing")


class _Graphs(Operations):
    """Records as a GPU does: what waits, or comes from the host, is refused."""

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        with mock.patch.object(OnGpu, "recording", True):
            replay, results = super().record(work)

        def again() -> None:
            with torch._C.DisableTorchFunctionSubclass():
                replay()

        return again, results


class _Generator(torch.Generator):
    """Draws on the CPU, and says that it draws on the device that was named."""

    _named: torch.device

    def __new__(cls, device: torch.device | str = "cpu") -> "_Generator":
        made = super().__new__(cls)
        made._named = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self._named


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """Make ``cuda`` a device that is there.

    Yields:
        The device.
    """
    with (
        mock.patch.object(OnGpu, "waits", []),
        mock.patch("wam.training.captured.CudaGraphs", _Graphs),
        mock.patch("torch.Generator", _Generator),
        mock.patch("torch.cuda.is_available", return_value=True),
        mock.patch("torch.cuda.is_bf16_supported", return_value=True),
        mock.patch.object(Tensor, "pin_memory", lambda tensor: tensor),
        mock.patch("torch.cuda.mem_get_info", return_value=(64 * 2**30, 80 * 2**30)),
        _Factories(),
    ):
        yield GPU
