"""Artefacts that are folders: finished directories moved into place, and sets of named files."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic

from kedro.io import DatasetError

from wam.datasets.artefact import ArtefactDataset, Out, move
from wam.episodes.calvin_format import EPISODE_IDS_FILE
from wam.episodes.store import EpisodeStore


class MovedFolderDataset(ArtefactDataset[Path, Out], Generic[Out]):
    """A folder that a node finished elsewhere, often in hours: saving moves it, failing moves it back."""

    def _fill(self, staging: Path, name: str, data: Path) -> None:
        """Digest before moving: a kill while gigabytes are read leaves the folder where work goes on."""
        if not data.is_dir():
            raise DatasetError(f"{data} is not a directory, so there is nothing to keep")
        self._write_record(staging, data)
        self._write(staging / name, data)

    def _write(self, path: Path, data: Path) -> None:
        move(data, path)

    def _give_back(self, path: Path, data: Path) -> None:
        if path.is_dir():  # and whole, see ``move``; what it left of the source may still be there
            shutil.rmtree(data, ignore_errors=True)
            move(path, data)


class DirectoryDataset(MovedFolderDataset[Path]):
    """A finished folder; loading gives its path.

    With an unversioned entry ``filepath`` may be a folder of the user's, such as a CALVIN download.
    """

    @property
    def given(self) -> Path | None:
        """Where a folder of the user's is expected, None where versions are kept."""
        return None if self._version else Path(self._filepath)

    def record(self) -> dict[str, Any]:
        """As of every artefact; of a user's folder what tells data sets apart without reading frames.

        That is the digest of its files of episode ids, wherever it lies: another data set put in its place is
        another input, a copy of the same one is not. Changed frames are not noticed.
        """
        if self.given is None or not self.exists():
            return super().record()
        digest = hashlib.blake2b(digest_size=16)
        ids = sorted(self.given.glob(f"*/{EPISODE_IDS_FILE}"))
        for file in ids:
            digest.update(file.relative_to(self.given).as_posix().encode() + b"\0" + file.read_bytes())
        return {"digest": digest.hexdigest()} if ids else {}

    def _read(self, path: Path) -> Path:
        return path


class EpisodesDataset(MovedFolderDataset[EpisodeStore]):
    """Packed episodes in a finished ``.zarr`` folder; loading opens it without reading frames."""

    def _read(self, path: Path) -> EpisodeStore:
        return EpisodeStore(path)


class NamedFiles(Mapping[str, bytes]):
    """The files of a folder by name, each read when asked for.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names = sorted(path.name for path in folder.iterdir() if path.is_file())

    def __getitem__(self, name: str) -> bytes:
        if name not in self._names:
            raise KeyError(f"{name} is not in {self.folder}, which has {self._names}")
        return (self.folder / name).read_bytes()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class FilesDataset(ArtefactDataset[Mapping[str, bytes], NamedFiles]):
    """Encoded pictures and clips by file name, in one folder."""

    def _write(self, path: Path, data: Mapping[str, bytes]) -> None:
        path.mkdir()
        for name, content in data.items():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is not a plain file name")
            (path / name).write_bytes(content)

    def _read(self, path: Path) -> NamedFiles:
        return NamedFiles(path)
