"""The episode store: one split as a Zarr group, read whole into memory.

Layout of the group (Zarr v3; images in chunks of 16 frames inside shards of 1024, lz4, or in one uncompressed
file that is mapped into memory: ``image_files``)::

    image_static, image_gripper  (N, 64, 64, 3) uint8
    action                       (N, 7) float64     relative action taken at the frame
    robot_obs, scene_state       (N, 15), (N, 24) float64
    proprio                      (N, 18) float32    not normalised
    is_first                     (N,) bool
    frame_id                     (N,) int64         id in the source folder
    episode_start, episode_length (E,) int64        rows; episodes lie one after another
    source_episode               (E,) int64         position of the episode in the source folder
    layout                       (E, L) float64     only where the source recorded layouts

Root attributes hold the digest of the content, counts and the ingest report. A store is complete when it has
a digest; whoever writes one renames it into place only then.
"""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
import zarr
from numpy.typing import NDArray

from wam.contracts import IMAGE_GRIPPER, IMAGE_SIZE, IMAGE_STATIC, InputError
from wam.episodes.image_files import available_memory, is_compressed, is_mapped, map_rows, read_compressed
from wam.episodes.loaded import Episodes
from wam.episodes.rotation import RotationConvention
from wam.parallel.map import available_workers

__all__ = ["FORMAT", "FORMAT_VERSION", "EpisodeStore", "EpisodeStoreError", "Episodes"]

FORMAT: Final = "wam-episodes"
FORMAT_VERSION: Final = 1


_LOADED: "Final[WeakValueDictionary[tuple[str, str, bool], Episodes]]" = WeakValueDictionary()
"""What some reader still holds: nodes that run side by side share one copy of the images."""
_LOADING: Final = Lock()


class EpisodeStoreError(InputError):
    """A path that is not a complete episode store."""


class EpisodeStore:
    """A finished episode store on disk; opening reads metadata only.

    Attributes:
        path: The Zarr directory.

    Raises:
        EpisodeStoreError: If the path is not an episode store, or an unfinished or damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._group = _open_group(self.path)
        attributes: Mapping[str, Any] = self._group.attrs.asdict()
        if attributes.get("format") != FORMAT or "digest" not in attributes:
            raise EpisodeStoreError(f"{path} is not a finished episode store (no digest); run ingest again")
        if attributes["format_version"] != FORMAT_VERSION:
            raise EpisodeStoreError(
                f"{path} has format version {attributes['format_version']}, this code reads "
                f"{FORMAT_VERSION}; run ingest again"
            )
        self._attributes = attributes

    @property
    def digest(self) -> str:
        """Digest of the content, 32 hexadecimal digits."""
        return str(self._attributes["digest"])

    @property
    def num_frames(self) -> int:
        """Frames in all episodes."""
        return int(self._attributes["num_frames"])

    @property
    def num_episodes(self) -> int:
        """Episodes."""
        return int(self._attributes["num_episodes"])

    @property
    def rotation_convention(self) -> RotationConvention:
        """How the rotations in ``proprio`` were read."""
        convention: RotationConvention = self._attributes["rotation_convention"]
        return convention

    def summary(self) -> dict[str, Any]:
        """JSON-ready root attributes: digest, counts, layout names, rotation convention, ingest report."""
        return dict(self._attributes)

    def array(self, name: str) -> "zarr.Array[Any]":
        """One array, lazily.

        Raises:
            KeyError: If the store has no such array.
        """
        found = self._group.get(name)
        if not isinstance(found, zarr.Array):
            raise KeyError(f"{self.path} has no array {name!r}; it has {sorted(self._group.array_keys())}")
        return found

    def has_array(self, name: str) -> bool:
        """Whether the store has an array (``layout`` is the only one that may be absent)."""
        return isinstance(self._group.get(name), zarr.Array)

    def checked(self, name: str) -> "zarr.Array[Any]":
        """One array, lazily, once all of its files are known to be there.

        Raises:
            EpisodeStoreError: If a file is lost: Zarr itself would read it as zeros.
        """
        array = self.array(name)
        lost = [key for key in _file_keys(array) if not (self.path / name / key).is_file()]
        if lost:
            raise EpisodeStoreError(
                f"{self.path}: array {name!r} has lost {len(lost)} of its files, first {lost[0]}; "
                "run ingest again"
            )
        return array

    def read(self, name: str) -> NDArray[Any]:
        """One array, whole, in memory; of images that are kept mapped, the file itself.

        Raises:
            EpisodeStoreError: If its data are damaged.
        """
        array = self.checked(name)
        try:
            if is_compressed(array):
                return read_compressed(self.path / name, array, available_workers())
            if is_mapped(array):
                return map_rows(self.path / name, array)
            return np.asarray(array[...])
        except (OSError, ValueError, RuntimeError) as error:
            raise EpisodeStoreError(
                f"{self.path}: array {name!r} is damaged ({error}); run ingest again"
            ) from error

    def load(self, images: bool = True) -> Episodes:
        """Read the whole store into memory, or share what another reader in this process holds of it.

        Args:
            images: False leaves both images out, for readers of states and actions.

        Returns:
            The episodes; they may be shared, so nobody changes them.

        Raises:
            EpisodeStoreError: If the data are damaged.
            MemoryError: If the images do not fit.
        """
        key = (str(self.path.resolve()), self.digest, images)
        with _LOADING:
            episodes = _LOADED.get(key)
            if episodes is None:
                episodes = _LOADED[key] = self._load(images)
            return episodes

    def _refuse_short_memory(self) -> None:
        """Say so before the system ends the program for it."""
        arrays = [self.array(name) for name in (IMAGE_STATIC, IMAGE_GRIPPER)]
        needed = sum(array.nbytes for array in arrays if not is_mapped(array))
        free = available_memory()
        if free is not None and needed > free:
            raise MemoryError(
                f"the images of {self.path} take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory are "
                "free; pack the episodes again with ingest.images: mapped, and frames are read when used"
            )

    def _load(self, images: bool) -> Episodes:
        if images:
            self._refuse_short_memory()
        blank = np.zeros((0, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        return Episodes(
            image_static=self.read(IMAGE_STATIC) if images else blank,
            image_gripper=self.read(IMAGE_GRIPPER) if images else blank,
            action=self.read("action").astype(np.float32),
            proprio=self.read("proprio"),
            robot_obs=self.read("robot_obs"),
            scene_state=self.read("scene_state"),
            is_first=self.read("is_first"),
            frame_id=self.read("frame_id"),
            episode_start=self.read("episode_start"),
            episode_length=self.read("episode_length"),
            layout=self.read("layout") if "layout" in self._group else None,
            layout_names=tuple(self._attributes["layout_names"]),
            source_episode=self.read("source_episode"),
        )


def _file_keys(array: "zarr.Array[Any]") -> list[str]:
    """Files that a complete array has; each spans all axes but the first. Zarr reads a lost one as zeros."""
    if array.size == 0:
        return []
    rows = (array.shards or array.chunks)[0]
    tail = "/0" * (array.ndim - 1)
    return [f"c/{index}{tail}" for index in range(-(-array.shape[0] // rows))]


def _open_group(path: Path) -> zarr.Group:
    if not (path / "zarr.json").is_file():
        raise EpisodeStoreError(f"{path} is not an episode store (no zarr.json); run ingest first")
    try:
        return zarr.open_group(path, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise EpisodeStoreError(f"{path} cannot be opened ({error}); run ingest again") from error
