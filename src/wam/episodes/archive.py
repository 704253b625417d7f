"""Episodes in one small file, to be sent to a machine that has NumPy and no Zarr.

The file is NumPy's own ``.npz``, packed with LZMA: pictures of a play table take a fiftieth of their size.
``numpy.load`` opens it anywhere. Reading one takes seconds and needs as much memory as the store.
"""

import lzma
import os
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from threading import Lock
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from wam.contracts import InputError
from wam.episodes.loaded import Episodes
from wam.parallel.progress import progress

SUFFIX: Final = ".npz"
_MB: Final = 10**6
_PIECE: Final = 4 * _MB
"""Bytes that are packed at once."""
_DIGEST: Final = "digest"
_NAMES: Final = "layout_names"
_OPTIONAL: Final = frozenset({"layout", "source_episode"})

_READ: "Final[WeakValueDictionary[tuple[str, int], Episodes]]" = WeakValueDictionary()
"""What some reader still holds: a training reads its episodes once for each of its parts."""
_READING: Final = Lock()


class EpisodeArchiveError(InputError):
    """A file that is not a whole archive of episodes."""


def write_archive(path: Path, episodes: Episodes, digest: str) -> None:
    """Write episodes into one file, in one move.

    Args:
        path: Ends in ``.npz``.
        episodes: With images.
        digest: Of the store that they were read from; kept beside them.

    Raises:
        ValueError: If the file has another ending, by which :func:`load_episodes` would not know it.
    """
    if path.suffix != SUFFIX:
        raise ValueError(f"an archive of episodes ends in {SUFFIX}, got {path.name}")
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    values = {field.name: getattr(episodes, field.name) for field in fields(episodes)} | {_DIGEST: digest}
    arrays = {name: np.asarray(value) for name, value in values.items() if value is not None}
    total = sum(array.nbytes for array in arrays.values()) // _MB
    try:
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_LZMA) as file, progress(total, "packing", "MB") as bar:
            for name, array in arrays.items():
                _write(file, name, array, bar.update)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def read_archive(path: Path) -> Episodes:
    """Read what :func:`write_archive` wrote, or share what another reader in this process holds of it.

    Raises:
        EpisodeArchiveError: If it is no whole archive.
    """
    with _READING:
        key = (str(path.resolve()), path.stat().st_mtime_ns if path.is_file() else 0)
        episodes = _READ.get(key)
        if episodes is None:
            episodes = _READ[key] = _read(path)
        return episodes


def archive_digest(path: Path) -> str:
    """Digest of the store that an archive was made of.

    Raises:
        EpisodeArchiveError: If it is no archive.
    """
    return str(_arrays(path, {_DIGEST})[_DIGEST])


def load_episodes(path: Path) -> Episodes:
    """Episodes with images, out of an archive or a store.

    Raises:
        InputError: If it is neither, or damaged.
    """
    if path.suffix == SUFFIX:
        return read_archive(path)
    from wam.episodes.store import EpisodeStore  # noqa: PLC0415 - who reads an archive may have no Zarr

    return EpisodeStore(path).load()


def _write(file: zipfile.ZipFile, name: str, array: NDArray[Any], advance: Callable[[int], object]) -> None:
    """One member, a piece of some MB after the other: packing takes minutes, and says how far it is."""
    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
        array = np.require(array, requirements="C")  # nothing is copied of what a store holds
        page = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(member, page)
        data = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), _PIECE):
            member.write(data[start : start + _PIECE])
            advance((min(start + _PIECE, len(data)) // _MB) - start // _MB)


def _read(path: Path) -> Episodes:
    names = {field.name for field in fields(Episodes)}
    found = _arrays(path, names)
    values: dict[str, Any] = dict.fromkeys(_OPTIONAL) | found
    values[_NAMES] = tuple(found[_NAMES].tolist())
    return Episodes(**values)


def _arrays(path: Path, names: set[str]) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in names & set(file.files)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise EpisodeArchiveError(
            f"{path} is no whole archive of episodes ({error}); pack it again"
        ) from error
    lacking = sorted(names - found.keys() - _OPTIONAL)
    if lacking:
        raise EpisodeArchiveError(
            f"{path} is no archive of episodes: it lacks {', '.join(lacking)}; pack it again"
        )
    return found
