"""Named arrays in a Zarr group: feature catalogs, labels, start scenes."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from kedro_datasets._typing import TablePreview
from numpy.typing import NDArray

from wam.datasets.artefact import ArtefactDataset

_CHUNK_BYTES: Final = 1 << 20
"""Aim of about one MiB a chunk: few files, and still cheap to read a part."""


@dataclass(frozen=True)
class ArrayBlocks:
    """Arrays too large to hold: blocks of rows that are written one after another.

    Attributes:
        blocks: Mappings of array name to rows ``(n, ...)``; the names are the same in every block.
    """

    blocks: Iterable[Mapping[str, NDArray[Any]]]


class Arrays(Mapping[str, NDArray[Any]]):
    """Arrays of a Zarr group by name, each read when asked for.

    Args:
        group: Opened read only.
    """

    def __init__(self, group: zarr.Group) -> None:
        self._group = group
        self._names = sorted(name for name, _ in group.arrays())

    def __getitem__(self, name: str) -> NDArray[Any]:
        return np.asarray(self.lazy(name)[...])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def lazy(self, name: str) -> "zarr.Array[Any]":
        """The array as it lies on disk, for reading a part.

        Raises:
            KeyError: If there is none of that name.
        """
        if name not in self._names:
            raise KeyError(f"no array {name!r}; there are {self._names}")
        array = self._group[name]
        if not isinstance(array, zarr.Array):
            raise TypeError(f"{name!r} is not an array")
        return array

    def lazily(self) -> "dict[str, zarr.Array[Any]]":
        """All arrays as they lie on disk, for readers that slice before they read."""
        return {name: self.lazy(name) for name in self}

    def rows_where(self, name: str, values: Collection[int]) -> dict[str, NDArray[Any]]:
        """The rows of all arrays where one of them holds one of some values.

        One range is read, from the first such row to the last: quick where they lie together.

        Raises:
            ValueError: If there is no such row.
        """
        wanted = np.isin(self[name], list(values))
        rows = np.flatnonzero(wanted)
        if len(rows) == 0:
            raise ValueError(f"no row has {name} in {sorted(values)[:8]}; make these arrays again")
        first, last = int(rows[0]), int(rows[-1]) + 1
        return {key: np.asarray(self.lazy(key)[first:last])[wanted[first:last]] for key in self}


class ArraysDataset(ArtefactDataset[Mapping[str, NDArray[Any]] | ArrayBlocks, Arrays]):
    """Saves a mapping of arrays, or :class:`ArrayBlocks`; loads :class:`Arrays`, which read on demand."""

    def _write(self, path: Path, data: Mapping[str, NDArray[Any]] | ArrayBlocks) -> None:
        blocks = data.blocks if isinstance(data, ArrayBlocks) else [data]
        group = zarr.open_group(str(path), mode="w")
        arrays: dict[str, zarr.Array[Any]] = {}
        for block in blocks:
            if arrays and arrays.keys() != block.keys():
                raise ValueError(f"a block has the arrays {sorted(block)}, the first had {sorted(arrays)}")
            for name, rows in block.items():
                if name not in arrays:
                    arrays[name] = _create(group, name, np.asarray(rows))
                arrays[name].append(np.asarray(rows))

    def _read(self, path: Path) -> Arrays:
        return Arrays(zarr.open_group(str(path), mode="r"))

    def preview(self) -> TablePreview:
        """Name, shape and type of every array, for Kedro-Viz."""
        arrays = self.load()
        rows = [[name, str(arrays.lazy(name).shape), str(arrays.lazy(name).dtype)] for name in arrays]
        return TablePreview(
            {"index": list(range(len(rows))), "columns": ["array", "shape", "type"], "data": rows}
        )


def _create(group: zarr.Group, name: str, rows: NDArray[Any]) -> "zarr.Array[Any]":
    row_bytes = max(1, int(np.prod(rows.shape[1:])) * rows.dtype.itemsize)
    chunk_rows = max(1, _CHUNK_BYTES // row_bytes)
    shape = (0, *rows.shape[1:])
    chunks = (chunk_rows, *(max(1, size) for size in rows.shape[1:]))
    array: zarr.Array[Any] = group.create_array(name, shape=shape, chunks=chunks, dtype=rows.dtype)
    return array
