"""How images lie in a store's files, and the quick ways in and out; Zarr reads the same bytes, more slowly.

Two layouts, both Zarr's sharding with the index at the end::

    compressed   a file for each shard of frames: chunks of lz4 with a checksum | places of the chunks
    mapped       one file for all frames, uncompressed: chunk 0, chunk 1, ...   | places of the chunks

The first is decoded chunk by chunk into its place in memory. The second is the array itself: it is mapped
into memory and nothing is read before it is used, so it also serves where memory is short, and processes
share it.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from google_crc32c import value as crc32c
from numcodecs.blosc import decompress
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec

CHECKSUM_BYTES: Final = 4
_PLACE: Final = np.dtype("<u8")
"""Offset and size of a chunk; both are all ones where there is none."""
_INDEX_CODECS: Final = (BytesCodec, Crc32cCodec)


def is_compressed(array: "zarr.Array[Any]") -> bool:
    """Whether an array has the compressed layout."""
    return _inner_codecs(array) == (BytesCodec, BloscCodec, Crc32cCodec)


def is_mapped(array: "zarr.Array[Any]") -> bool:
    """Whether an array has the mapped layout."""
    return _inner_codecs(array) == (BytesCodec,) and array.shape[0] <= _shard_rows(array)


def read_compressed(folder: Path, array: "zarr.Array[Any]", workers: int) -> NDArray[np.uint8]:
    """A compressed array, whole, in memory.

    Args:
        folder: Of the array.
        array: Its metadata; :func:`is_compressed`.
        workers: Threads; decoding does not hold Python's lock.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a chunk is lost, or its bytes are not those that were written.
    """
    rows = np.empty(array.shape, np.uint8)
    size = _shard_rows(array)

    def read(number: int) -> None:
        part = rows[number * size : (number + 1) * size]
        _decode_shard(_file(folder, number), part, array.chunks[0], size)

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(read, range(-(-len(rows) // size))):
            pass
    return rows


def map_rows(folder: Path, array: "zarr.Array[Any]", *, writable: bool = False) -> NDArray[np.uint8]:
    """A mapped array; frames come from disk when they are first used.

    Args:
        folder: Of the array.
        array: Its metadata; :func:`is_mapped`.
        writable: True writes to the file; else changes stay in this process and the file is never changed.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is shorter or longer than it should be.
    """
    file, expected = _file(folder, 0), _mapped_bytes(array)
    if file.stat().st_size != expected:
        raise ValueError(f"{file} has {file.stat().st_size} bytes, expected {expected}")
    mode = "r+" if writable else "c"
    return np.asarray(np.memmap(file, np.uint8, mode=mode, shape=array.shape))  # type: ignore[call-overload]


def make_mapped_file(folder: Path, array: "zarr.Array[Any]") -> None:
    """Give a mapped array its file, with places for all rows that its shard has; kept if it is there."""
    file = _file(folder, 0)
    if file.is_file() and file.stat().st_size == _mapped_bytes(array):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    chunk = array.chunks[0] * _row_bytes(array)
    offsets = np.arange(_shard_rows(array) // array.chunks[0], dtype=_PLACE) * _PLACE.type(chunk)
    index = np.stack([offsets, np.full_like(offsets, chunk)], axis=1).tobytes()
    with file.open("wb") as stream:
        stream.truncate(_shard_rows(array) * _row_bytes(array))
        stream.seek(0, 2)
        stream.write(index + crc32c(index).to_bytes(CHECKSUM_BYTES, "little"))


def clear_spare_rows(folder: Path, array: "zarr.Array[Any]") -> None:
    """Zero the rows of a mapped file behind the last frame, which a run with more frames may have filled."""
    row = _row_bytes(array)
    with _file(folder, 0).open("r+b") as stream:
        stream.seek(array.shape[0] * row)
        stream.write(bytes((_shard_rows(array) - array.shape[0]) * row))


def available_memory() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say (it is not Linux)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    return None


def _inner_codecs(array: "zarr.Array[Any]") -> tuple[type, ...]:
    """Codecs of the chunks in a shard; empty where the array is not bytes sharded along its first axis."""
    codecs: tuple[object, ...] = getattr(array.metadata, "codecs", ())
    if len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec) or array.dtype != np.uint8:
        return ()
    sharding = codecs[0]
    location = sharding.index_location  # zarr 3.1 has an enumeration here, newer ones its text
    plain_index = getattr(location, "value", location) == "end"
    plain_index &= tuple(type(codec) for codec in sharding.index_codecs) == _INDEX_CODECS
    if not plain_index or array.ndim != 4 or array.chunks[1:] != array.shape[1:]:
        return ()
    return tuple(type(codec) for codec in sharding.codecs)


def _decode_shard(file: Path, rows: NDArray[np.uint8], chunk_rows: int, shard_rows: int) -> None:
    """Fill ``rows``, the first ones of a shard, from its file."""
    content = np.fromfile(file, np.uint8)
    places = _places(file, content, shard_rows // chunk_rows)
    for number in range(-(-len(rows) // chunk_rows)):
        part = rows[number * chunk_rows : (number + 1) * chunk_rows]
        offset, size = places[number].tolist()
        if offset + size > len(content):
            raise ValueError(f"chunk {number} of {file} is lost")
        chunk = content[offset : offset + size]
        body, checksum = chunk[:-CHECKSUM_BYTES], chunk[-CHECKSUM_BYTES:]
        if not _is_sum(checksum, body):
            raise ValueError(f"checksum of chunk {number} in {file}")
        if len(part) == chunk_rows:
            decompress(body, part)
        else:
            whole = np.frombuffer(decompress(body), np.uint8)
            part[...] = whole[: part.size].reshape(part.shape)


def _places(file: Path, content: NDArray[np.uint8], count: int) -> NDArray[np.uint64]:
    """Offset and size of each chunk of a shard, ``(count, 2)``."""
    end = len(content) - CHECKSUM_BYTES
    begin = end - 2 * count * _PLACE.itemsize
    if begin < 0 or not _is_sum(content[end:], content[begin:end]):
        raise ValueError(f"index of {file}")
    return content[begin:end].view(_PLACE).reshape(-1, 2)


def _is_sum(checksum: NDArray[np.uint8], content: NDArray[np.uint8]) -> bool:
    return bool(crc32c(content) == int.from_bytes(checksum.tobytes(), "little"))


def _file(folder: Path, number: int) -> Path:
    return folder / "c" / str(number) / "0" / "0" / "0"


def _shard_rows(array: "zarr.Array[Any]") -> int:
    return int((array.shards or array.chunks)[0])


def _row_bytes(array: "zarr.Array[Any]") -> int:
    return int(np.prod(array.shape[1:]))


def _mapped_bytes(array: "zarr.Array[Any]") -> int:
    rows = _shard_rows(array)
    index = 2 * _PLACE.itemsize * (rows // array.chunks[0]) + CHECKSUM_BYTES
    return rows * _row_bytes(array) + index
