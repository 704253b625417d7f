"""npz files of few arrays, written and read by the shortest way; what is unusual is left to NumPy.

``numpy.load`` goes through ``zipfile``, which costs as much as half of a camera frame's decompression. Files
that NumPy wrote are simple: a directory at the very end, each array deflated or plain. Checksums are compared
as ``zipfile`` does. Writing such a file through ``zipfile`` costs three times its compression.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

inflater: ModuleType = zlib
with contextlib.suppress(ImportError):  # the same interface, half as long on processors it knows
    from isal import isal_zlib

    inflater = isal_zlib

_END: Final = struct.Struct("<4s4H2IH")
"""End of directory: signature, disks and counts, size, offset, length of a comment."""
_ENTRY: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_DIRECTORY_ROOM: Final = 4096
"""Bytes read from the end: room for some 40 arrays."""
_EXTRA_ROOM: Final = 64
"""Bytes that may stand between an array's name and its data; NumPy writes 20."""
_ENCRYPTED: Final = 1
_STORED, _DEFLATED = 0, 8
_UNKNOWN: Final = 0xFFFFFFFF
"""A size that is written elsewhere: files of 4 GB and more."""
_VERSION: Final = 20
"""Of the format that a reader must know: deflated members."""
_DATE: Final = 33
"""1 January 1980, the earliest: what is written depends on the arrays alone."""
_SMALL: Final = 1024
"""Bytes up to which compression saves nothing."""


class UnusualNpzError(ValueError):
    """A file that needs a full reader, or is damaged."""


class _Member(NamedTuple):
    offset: int
    name_size: int
    method: int
    checksum: int
    packed: int
    size: int


def read_npz(file: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Some arrays of an npz file, as ``numpy.load`` without pickle gives them; the arrays are read-only.

    Args:
        file: Written by ``numpy.savez`` or ``numpy.savez_compressed``.
        names: Of the arrays; others are not touched.

    Raises:
        OSError: If the file cannot be opened or read.
        KeyError: If a name is not in the file.
        ValueError: And whatever else NumPy raises on a damaged file, or one with pickled objects.
    """
    try:
        return _read_usual(file, names)
    except UnusualNpzError:
        # NumPy reads what is legal and says what is wrong
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            return {name: data[name] for name in names}


def _read_usual(file: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        members = _members(descriptor)
        missing = [name for name in names if f"{name}.npy".encode() not in members]
        if missing:
            raise UnusualNpzError(f"no array {missing[0]}")
        return {name: _array(_content(descriptor, members[f"{name}.npy".encode()])) for name in names}
    finally:
        os.close(descriptor)


def _members(descriptor: int) -> dict[bytes, _Member]:
    """The directory of the file."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, _DIRECTORY_ROOM, max(0, size - _DIRECTORY_ROOM))
    if len(tail) < _END.size:
        raise UnusualNpzError("too short")
    signature, _, _, _, count, length, offset, comment = _END.unpack_from(tail, len(tail) - _END.size)
    place = len(tail) - _END.size - length
    if signature != b"PK\x05\x06" or comment or place < 0 or offset + length + _END.size != size:
        raise UnusualNpzError("no plain directory at the end")
    members = {}
    for _ in range(count):
        if place + _ENTRY.size > len(tail):
            raise UnusualNpzError("a directory cut short")
        entry = _ENTRY.unpack_from(tail, place)
        flags, method, checksum, packed, unpacked, name_size, extra, remark = (
            entry[3],
            entry[4],
            *entry[7:13],
        )
        name = tail[place + _ENTRY.size : place + _ENTRY.size + name_size]
        if (
            flags & _ENCRYPTED
            or method not in {_STORED, _DEFLATED}
            or _UNKNOWN in {packed, unpacked, entry[16]}
        ):
            raise UnusualNpzError("an array packed in an unusual way")
        members[name] = _Member(entry[16], name_size, method, checksum, packed, unpacked)
        place += _ENTRY.size + name_size + extra + remark
    return members


def _content(descriptor: int, member: _Member) -> bytes:
    """The unpacked bytes of a member, checked."""
    room = _LOCAL.size + member.name_size + _EXTRA_ROOM + member.packed
    block = os.pread(descriptor, room, member.offset)
    if len(block) < _LOCAL.size:
        raise UnusualNpzError("an array cut short")
    header = _LOCAL.unpack_from(block)
    begin = _LOCAL.size + header[9] + header[10]
    packed = block[begin : begin + member.packed]
    if header[0] != b"PK\x03\x04" or len(packed) != member.packed:
        raise UnusualNpzError("an array cut short")
    content = packed if member.method == _STORED else _inflated(packed, member.size)
    if len(content) != member.size or inflater.crc32(content) != member.checksum:
        raise UnusualNpzError("an array that does not fit its checksum")
    return content


def _inflated(packed: bytes, size: int) -> bytes:
    """Deflated bytes unpacked, never more than ``size`` of them."""
    try:
        return bytes(inflater.decompressobj(-zlib.MAX_WBITS).decompress(packed, size))
    except inflater.error as error:
        raise UnusualNpzError(str(error)) from error


def _array(content: bytes) -> NDArray[Any]:
    """The array in an npy file."""
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise UnusualNpzError("an array of another format")
    begin = 10 + int.from_bytes(content[8:10], "little")
    shape, dtype = _header(content[8:begin])
    if begin + dtype.itemsize * int(np.prod(shape)) != len(content):
        raise UnusualNpzError("an array of another length")
    return np.frombuffer(content, dtype, offset=begin).reshape(shape)


@lru_cache(maxsize=64)
def _header(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type; the same few headers stand in every file."""
    try:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(BytesIO(header))
    except ValueError as error:
        raise UnusualNpzError(str(error)) from error
    if fortran or dtype.hasobject or dtype.itemsize == 0:
        raise UnusualNpzError("an array in an unusual order, or of objects")
    return shape, dtype


def write_npz(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write what ``numpy.load`` reads, as ``numpy.savez_compressed`` does; equal arrays give equal bytes.

    Args:
        file: Replaced if it is there; not atomic.
        arrays: By name; together below 4 GB, none of objects.
    """
    blocks, directory, offset = [], [], 0
    for name, array in arrays.items():
        label = f"{name}.npy".encode()
        content = _npy_header(array.dtype, array.shape) + array.tobytes()
        method, packed = _packed(content)
        sizes = (zlib.crc32(content), len(packed), len(content), len(label), 0)
        local = _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, method, 0, _DATE, *sizes)
        entry = (b"PK\x01\x02", _VERSION, _VERSION, 0, method, 0, _DATE, *sizes, 0, 0, 0, 0, offset)
        directory.append(_ENTRY.pack(*entry) + label)
        blocks.append(local + label + packed)
        offset += len(blocks[-1])
    listing = b"".join(directory)
    end = _END.pack(b"PK\x05\x06", 0, 0, len(arrays), len(arrays), len(listing), offset, 0)
    file.write_bytes(b"".join([*blocks, listing, end]))


def _packed(content: bytes) -> tuple[int, bytes]:
    if len(content) <= _SMALL:
        return _STORED, content
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return _DEFLATED, packer.compress(content) + packer.flush()


@lru_cache(maxsize=64)
def _npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    stream = BytesIO()
    page = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, page)
    return stream.getvalue()
