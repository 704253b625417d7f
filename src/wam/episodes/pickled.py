"""CALVIN's pickled dicts, read without letting the file call anything.

A pickle may name any function to be called with what it says, so a data set from anywhere could run code.
What CALVIN pickles are dicts of lists, text, numbers and arrays; only what rebuilds these is let through.
"""

import pickle
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy

_ARRAYS: Final = ("numpy.core", "numpy._core")
"""The module had its underscore from NumPy 2 on; files name it as it was when they were written."""
HARMLESS: Final = frozenset(
    [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("__builtin__", "bytes")]
    + [(f"{package}.multiarray", name) for package in _ARRAYS for name in ("_reconstruct", "scalar")]
    + [(f"{package}.numeric", "_frombuffer") for package in _ARRAYS]
)
"""Module and name of what rebuilds arrays, their numbers, and bytes."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) in HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it wants to call {module}.{name}, which no data file needs")


def load_pickled(file: Path) -> Any:
    """The object in an ``.npy`` file that holds one, or its plain array.

    Raises:
        pickle.UnpicklingError: If it is cut off, or asks for more than numbers, text and containers of them.
        OSError: If it cannot be read.
        ValueError: If it is no ``.npy`` file.
    """
    with file.open("rb") as stream:
        if not _dtype(stream).hasobject:
            stream.seek(0)
            return np.load(stream, allow_pickle=False)
        return _Plain(stream).load().item()


def _dtype(stream: BinaryIO) -> np.dtype[Any]:
    """Read the header, up to where the data begins."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    dtype: np.dtype[Any] = read(stream)[2]
    return dtype
