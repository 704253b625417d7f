"""One way to put an artefact on disk: build it aside, digest it, rename it into its version.

On disk, for a versioned entry ``<filepath>`` saved in the run ``<version>``::

    <filepath>/<version>/<name>          the artefact, a file or a directory
    <filepath>/<version>/record.json     its digest, what it was made from and by which node

Both appear in one rename, so a killed run leaves no version that is torn or of unknown origin.
"""

import hashlib
import json
import os
import shutil
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, Generic, TypeVar

from kedro.io import AbstractVersionedDataset, DatasetError, Version

RECORD_NAME: Final = "record.json"
PARTIAL: Final = ".partial"
"""How the folder of a version ends that is being written."""
_BLOCK_BYTES: Final = 1 << 20

In = TypeVar("In")
Out = TypeVar("Out")


def digest_of(path: Path) -> str:
    """BLAKE2b digest (32 hex digits) of a file, or of every file below a directory and its relative name."""
    digest = hashlib.blake2b(digest_size=16)
    if path.is_file():
        _feed(digest, path)
    else:
        for part in sorted(child for child in path.rglob("*") if child.is_file()):
            digest.update(part.relative_to(path).as_posix().encode() + b"\0")
            _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: "hashlib.blake2b", path: Path) -> None:
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)


def move(source: Path, target: Path) -> None:
    """Move a file or directory; a rename where both lie on one file system.

    Where they do not, the source goes only when the copy is whole, and a copy that fails goes itself: at any
    moment a target that is there after a failure is whole.
    """
    try:
        os.replace(source, target)
    except OSError:
        _copy(source, target)
        _remove(source)


def _copy(source: Path, target: Path) -> None:
    try:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)
    except BaseException:
        _remove(target)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class ArtefactDataset(AbstractVersionedDataset[In, Out], Generic[In, Out]):
    """Base of every catalog type of this project. A subclass says how bytes become an object and back.

    Args:
        filepath: Where the artefact lies; with ``versioned: true`` the folder of its versions.
        version: Set by Kedro for versioned entries.
        optional: Load ``None`` where nothing was saved yet, instead of failing. Only for entries that a
            consumer can do without, such as the results of a world model that was not trained.
        metadata: Free for hooks and plugins; see ``hooks.mlflow_cells`` for the key ``mlflow``.
    """

    def __init__(
        self,
        *,
        filepath: str | os.PathLike[str],
        version: Version | None = None,
        optional: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self.optional = optional
        self._origin: dict[str, Any] = {}
        self._began: float | None = None
        self._disregarded = False
        super().__init__(filepath=PurePosixPath(os.fspath(filepath)), version=version)

    @abstractmethod
    def _write(self, path: Path, data: In) -> None:
        """Put ``data`` at ``path``, which does not exist yet; its parent does."""

    def _give_back(self, path: Path, data: In) -> None:
        """Undo what ``_write`` did to ``data`` itself, if anything: the save failed after it."""

    @abstractmethod
    def _read(self, path: Path) -> Out:
        """Make the object that lies at ``path``."""

    def _digest(self, path: Path) -> str:
        return digest_of(path)

    def load(self) -> Out:
        """The object of the chosen version.

        Raises:
            DatasetError: If there is nothing to load and the entry is not ``optional``.
        """
        if self.optional and not self.exists():
            return None  # type: ignore[return-value]
        path = Path(self._get_load_path())
        if not path.exists():
            raise DatasetError(f"{path} does not exist")
        return self._read(path)

    def save(self, data: In) -> None:
        """Write, digest and rename into place; on failure nothing is left behind, and nothing taken away.

        Raises:
            DatasetError: If something is in the way, see :meth:`obstacle`.
        """
        obstacle = self.obstacle()
        if obstacle:
            raise DatasetError(obstacle)
        target = Path(self._get_save_path())
        home = target.parent
        place = home if self._version else target
        staging = place.with_name(f".{place.name}{PARTIAL}")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            self._fill(staging, target.name, data)
            if self._version:
                os.replace(staging, home)
            else:
                os.replace(staging / target.name, target)
            self._disregarded = False
        except BaseException as error:
            self._give_back(staging / target.name, data)  # where this fails, what is staged stays
            shutil.rmtree(staging, ignore_errors=True)
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise DatasetError(str(error)) from error  # Kedro would say that a file is in the way
            raise
        shutil.rmtree(staging, ignore_errors=True)

    def _fill(self, staging: Path, name: str, data: In) -> None:
        """Put the artefact, and its record where versions are kept, into an empty folder."""
        self._write(staging / name, data)
        self._write_record(staging, staging / name)

    def obstacle(self) -> str | None:
        """What stands where the next save would go, and what to do; None where the way is free.

        A folder of an entry without versions is never replaced: it may be the user's own, such as a download.
        """
        place = Path(self._filepath)
        if self._version and place.is_file():
            return f"{place} is a file, but versions need a folder there; move the file away"
        if not self._version and place.is_dir():
            return (
                f"{place} is there already, and an entry without versions replaces no folder: leave out the "
                "nodes that make it, move the folder away, or set versioned: true in the catalog"
            )
        return None

    def _write_record(self, staging: Path, path: Path) -> None:
        """Describe what lies at ``path``; entries without versions have no record."""
        if not self._version:
            return
        record = {"digest": self._digest(path), "bytes": sum(_sizes(path)), **self._origin}
        if self._began is not None:
            record["seconds"] = round(time.time() - self._began, 1)
        (staging / RECORD_NAME).write_text(json.dumps(record, indent=1, sort_keys=True))

    def set_origin(self, origin: Mapping[str, Any]) -> None:
        """Say what the next saved version was made from; it goes into its record."""
        self._origin = dict(origin)

    def count_from(self, began: float) -> None:
        """Say when the work on the next saved version began (seconds as of ``time.time``), for its record."""
        self._began = began

    def disregard(self) -> None:
        """Count what is there as missing until something is saved."""
        self._disregarded = True

    def record(self) -> dict[str, Any]:
        """The record of the version that would be loaded, empty where there is none."""
        if not self._version or not self.exists():
            return {}
        path = Path(self._get_load_path()).parent / RECORD_NAME
        if not path.is_file():
            return {}
        values: dict[str, Any] = json.loads(path.read_text())
        return values

    def location(self) -> Path:
        """Where the version that would be loaded lies."""
        return Path(self._get_load_path())

    def _exists(self) -> bool:
        if self._disregarded:
            return False
        try:
            return Path(self._get_load_path()).exists()
        except DatasetError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


def _sizes(path: Path) -> Iterator[int]:
    if path.is_file():
        yield path.stat().st_size
    else:
        yield from (child.stat().st_size for child in path.rglob("*") if child.is_file())
