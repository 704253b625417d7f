"""Is a packed store what it says it is? Counts, digest of every frame, ranges of every value."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION, IMAGE_GRIPPER, IMAGE_STATIC, PROPRIO, ROBOT_OBS, SCENE_STATE
from wam.episodes.frame_arrays import FRAME_ARRAYS, frame_digests
from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.store import EpisodeStore
from wam.parallel.progress import progress

BLOCK_FRAMES: Final = 1024
"""Frames checked at a time; bounds memory (25 MB)."""
TABLES: Final = ("frame_id", "is_first", "episode_start", "episode_length", "source_episode", "layout")
"""Small arrays in the order in which the digest of a store takes them."""
SCENE_RANGES: Final = {
    "slider": (0, -0.01, 0.32),
    "drawer": (1, -0.01, 0.24),
    "button": (2, -0.01, 0.05),
    "switch": (3, -0.01, 0.10),
    "lightbulb": (4, 0.0, 1.0),
    "led": (5, 0.0, 1.0),
}
"""Index, lowest and highest plausible value (m; lights 0 or 1): as seen in CALVIN's files, and a margin."""


def verify_store(store: EpisodeStore) -> dict[str, Any]:
    """Read a store once, block by block, and check it.

    Args:
        store: Finished store.

    Returns:
        JSON-ready: ``frames``, ``episodes``, ``digest`` (as recorded), ``recomputed_digest``, ``ranges``
        (lowest and highest of every array, and of the six furniture values), ``mean_pixel`` of each camera
        (0 to 255), and ``faults``, one message per failed check: none means sound.

    Raises:
        EpisodeStoreError: If an array lost a file or cannot be read.
    """
    tables = {name: store.read(name) for name in TABLES if name != "layout" or store.has_array("layout")}
    digest, seen = blake2b(digest_size=16), _Seen()
    arrays = {name: store.checked(name) for name in FRAME_ARRAYS}
    with progress(store.num_frames, f"verify {store.path.name}", "frame") as bar:
        for first in range(0, store.num_frames, BLOCK_FRAMES):
            rows = {name: np.asarray(array[first : first + BLOCK_FRAMES]) for name, array in arrays.items()}
            digest.update(bytes.fromhex(frame_digests(rows)))
            seen.add(rows, proprio_from_robot_obs(rows[ROBOT_OBS], store.rotation_convention))
            bar.update(len(rows[ACTION]))
    for name, values in tables.items():
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.tobytes())
    found = {
        "frames": store.num_frames,
        "episodes": store.num_episodes,
        "digest": store.digest,
        "recomputed_digest": digest.hexdigest(),
        "ranges": seen.ranges,
        "mean_pixel": seen.mean_pixel(),
    }
    return found | {"faults": [*_table_faults(store, tables), *_digest_faults(found), *seen.faults()]}


class _Seen:
    """What a pass over the frames shows."""

    def __init__(self) -> None:
        self.ranges: dict[str, list[float]] = {}
        self._pixels = {IMAGE_STATIC: 0.0, IMAGE_GRIPPER: 0.0}
        self._frames = 0
        self._odd_grippers = 0
        self._other_proprio = 0

    def add(self, rows: Mapping[str, NDArray[Any]], proprio: NDArray[np.float32]) -> None:
        for name, values in rows.items():
            self._widen(name, values)
        for name, (index, _, _) in SCENE_RANGES.items():
            self._widen(name, rows[SCENE_STATE][:, index])
        for camera in self._pixels:
            self._pixels[camera] += float(rows[camera].mean(dtype=np.float64)) * len(rows[camera])
        self._frames += len(proprio)
        self._odd_grippers += int((np.abs(rows[ACTION][:, -1]) != 1.0).sum())
        self._other_proprio += int((rows[PROPRIO] != proprio).any(axis=1).sum())

    def _widen(self, name: str, values: NDArray[Any]) -> None:
        low, high = self.ranges.get(name, (np.inf, -np.inf))
        self.ranges[name] = [min(low, float(values.min())), max(high, float(values.max()))]

    def mean_pixel(self) -> dict[str, float]:
        return {camera: total / max(1, self._frames) for camera, total in self._pixels.items()}

    def faults(self) -> list[str]:
        found = []
        low, high = self.ranges[ACTION]
        if low < -1.0 or high > 1.0:
            found.append(f"actions range from {low} to {high}; relative actions lie in [-1, 1]")
        if self._odd_grippers:
            found.append(f"{self._odd_grippers} gripper actions are neither -1 nor +1")
        if self._other_proprio:
            found.append(f"proprio of {self._other_proprio} frames does not follow from their robot_obs")
        for name, (_, lowest, highest) in SCENE_RANGES.items():
            low, high = self.ranges[name]
            if low < lowest or high > highest:
                found.append(f"{name} ranges from {low} to {high}; plausible is {lowest} to {highest}")
        found += [
            f"{camera} is one colour throughout"
            for camera in self._pixels
            if self.ranges[camera][0] == self.ranges[camera][1]
        ]
        return found


def _digest_faults(found: Mapping[str, Any]) -> list[str]:
    if found["digest"] == found["recomputed_digest"]:
        return []
    return [f"the frames have the digest {found['recomputed_digest']}, recorded is {found['digest']}"]


def _table_faults(store: EpisodeStore, tables: Mapping[str, NDArray[Any]]) -> list[str]:
    found = []
    start, length = tables["episode_start"], tables["episode_length"]
    counts = {
        "frame_id": (len(tables["frame_id"]), store.num_frames),
        "is_first": (int(tables["is_first"].sum()), store.num_episodes),
        "episode_length": (int(length.sum()), store.num_frames),
        "episode_start": (len(start), store.num_episodes),
    }
    for name, (have, want) in counts.items():
        if have != want:
            found.append(f"{name} accounts for {have}, but the store says {want}")
    if len(np.unique(tables["frame_id"])) != len(tables["frame_id"]):
        found.append("some frame ids occur twice")
    if not np.array_equal(np.flatnonzero(tables["is_first"]), start):
        found.append("is_first and episode_start disagree")
    return found
