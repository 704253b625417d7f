"""CALVIN's pickled dicts, read without letting the file call anything.

A pickle may name any function to be called with what it says, and NumPy's own may be told to take bytes for
pointers, so a data set from anywhere could run code. What CALVIN pickles are dicts of lists, text, numbers
and arrays: only these are rebuilt, and arrays by stand-ins that check what they are told.
"""

import io
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any, BinaryIO, Final, SupportsIndex

import numpy as np
from numpy.lib import format as npy

from wam.episodes.calvin_frame import READ_ERRORS

PICKLE_ERRORS: Final = (
    *(*READ_ERRORS, pickle.UnpicklingError),
    *(AttributeError, IndexError, OverflowError),
)
"""What a file raises that is damaged, hostile, or holds something else than it should."""
PLAIN: Final = re.compile(r"[biufc]\d{1,2}|[SU][1-9]\d*|O8?")
"""Types of numbers, text and objects, as NumPy writes them."""


class _Type:
    """Stands in for ``numpy.dtype``: a plain one, of which a file may say nothing but the byte order."""

    def __init__(self, text: str, *_: object) -> None:
        if not isinstance(text, str) or not PLAIN.fullmatch(text):
            raise _not_plain(text)
        self.plain = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, *compound = state[1:5]
        if order not in {"<", ">", "|", "="} or any(part is not None for part in compound):
            raise _not_plain(state)
        self.plain = self.plain.newbyteorder(order)


class _Array(np.ndarray[Any, Any]):
    """An array that takes its content as a pickle gives it, but with a checked type."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        dtype = _checked(kind)
        if not all(isinstance(side, int) and side >= 0 for side in shape):
            raise pickle.UnpicklingError(f"it has an array of shape {shape!r}")
        held, size = (list, 1) if dtype.hasobject else (bytes, dtype.itemsize)
        if not isinstance(content, held) or len(content) != math.prod(shape) * size:
            # NumPy takes the memory first, and reads beyond a list that is too short
            raise pickle.UnpicklingError(f"it has an array of shape {shape!r} with more or less content")
        rebuilt: Any = (1, shape, dtype, bool(fortran), content)  # of any type: stubs want NumPy's own bool
        super().__setstate__(rebuilt)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return np.asarray(self).__reduce_ex__(protocol)  # pickled on as what it is


def _not_plain(kind: object) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"it has an array of type {kind!r}, which is none of numbers or text")


def _checked(kind: object) -> np.dtype[Any]:
    if not isinstance(kind, _Type):
        raise _not_plain(kind)
    return kind.plain


def _empty_array(*_: object) -> _Array:
    return _Array((0,), dtype="b")


def _scalar(kind: object, content: bytes) -> Any:
    dtype = _checked(kind)
    if dtype.hasobject:
        raise pickle.UnpicklingError("it has a number that is an object")
    return np.frombuffer(content, dtype, count=1)[0]


_MULTIARRAY: Final = ("numpy.core.multiarray", "numpy._core.multiarray")
"""It had no underscore before NumPy 2; files name it as it was when they were written."""
STAND_INS: Final[dict[tuple[str, str], Any]] = {
    ("numpy", "ndarray"): "numpy.ndarray",  # an argument that the stand-in below does not look at
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # how bytes are written before protocol 3
    ("__builtin__", "bytes"): lambda: b"",
    **{(module, "_reconstruct"): _empty_array for module in _MULTIARRAY},
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) in STAND_INS:
            return STAND_INS[module, name]
        raise pickle.UnpicklingError(f"it wants to call {module}.{name}, which no data file needs")


def load_pickled(file: Path) -> Any:
    """The object in an ``.npy`` file that holds one, or its plain array.

    Raises:
        PICKLE_ERRORS: If it cannot be read, is damaged or asks for more than numbers, text and containers.
    """
    with file.open("rb") as stream:
        if not _dtype(stream).hasobject:
            stream.seek(0)
            return np.load(stream, allow_pickle=False)
        return _unpickled(stream.read()).item()


def _unpickled(content: bytes) -> Any:
    for code, argument, _ in pickletools.genops(content):
        if "PUT" in code.name and (argument or 0) > len(content):  # the table would be made as long as that
            raise pickle.UnpicklingError(f"it has {len(content)} bytes and numbers one part {argument}")
    return _Plain(io.BytesIO(content)).load()


def _dtype(stream: BinaryIO) -> np.dtype[Any]:
    """Read the header, up to where the data begins."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    dtype: np.dtype[Any] = read(stream)[2]
    return dtype
