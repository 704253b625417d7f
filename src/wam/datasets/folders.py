"""Artefacts that are folders: finished directories moved into place, and sets of named files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Generic

from wam.datasets.artefact import ArtefactDataset, Out, move
from wam.episodes.store import EpisodeStore


class MovedFolderDataset(ArtefactDataset[Path, Out], Generic[Out]):
    """A folder that a node finished elsewhere, often in hours: saving moves it, failing moves it back."""

    def _write(self, path: Path, data: Path) -> None:
        if not data.is_dir():
            raise FileNotFoundError(f"{data} is not a directory, so there is nothing to keep")
        move(data, path)

    def _give_back(self, path: Path, data: Path) -> None:
        if path.is_dir():
            move(path, data)


class DirectoryDataset(MovedFolderDataset[Path]):
    """A finished folder; loading gives its path.

    With an unversioned entry ``filepath`` may be a folder of the user's, such as a CALVIN download.
    """

    @property
    def given(self) -> Path | None:
        """Where a folder of the user's is expected, None where versions are kept."""
        return None if self._version else Path(self._filepath)

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
