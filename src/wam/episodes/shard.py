"""One shard of an episode store: read its frames, write its part of every array, leave a marker."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zarr
from numpy.typing import NDArray

from wam.contracts import ACTION, IMAGE_GRIPPER, IMAGE_STATIC, PROPRIO, ROBOT_OBS, SCENE_STATE
from wam.episodes.calvin_format import CalvinFormatError, Frame, frame_file_name, read_frame
from wam.episodes.frame_arrays import DIGEST_BYTES, FRAME_ARRAYS, every_chunk, frame_digests
from wam.episodes.image_files import is_mapped, map_rows
from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.resize import resize_image
from wam.episodes.rotation import RotationConvention

ImageShapes = tuple[tuple[int, ...], tuple[int, ...]]
"""Shapes of the source's static and gripper images."""


@dataclass(frozen=True)
class Shard:
    """One piece of the work.

    Attributes:
        folder: CALVIN split folder.
        store: Zarr group being filled.
        marker: File that records that this shard is written.
        first_row: Row of the first frame, a multiple of ``shard_frames``.
        shard_frames: Frames of a full shard.
        frame_ids: Ids of the frames, at most ``shard_frames``.
        image_shapes: Shapes that every static and every gripper image must have.
        rotation_convention: For the proprio vector.
        quarantine: Collect bad frames instead of raising.
    """

    folder: Path
    store: Path
    marker: Path
    first_row: int
    shard_frames: int
    frame_ids: NDArray[np.int64]
    image_shapes: ImageShapes
    rotation_convention: RotationConvention
    quarantine: bool

    def __repr__(self) -> str:
        """Short: named in errors."""
        return f"Shard(frames {self.frame_ids[0]} to {self.frame_ids[-1]} of {self.folder})"

    def key(self) -> str:
        """Digest of the frame ids: a marker of other ids is not this shard's."""
        return blake2b(self.frame_ids.tobytes(), digest_size=DIGEST_BYTES).hexdigest()


@dataclass(frozen=True)
class ShardOutcome:
    """What became of a shard.

    Attributes:
        key: Digest of its frame ids.
        frame_digests: Hexadecimal digests of its frames, 32 digits each; empty if any frame is bad.
        bad_frames: Id and reason of each bad frame; if there are any, nothing was written.
    """

    key: str
    frame_digests: str
    bad_frames: list[tuple[int, str]]


def finished_outcome(shard: Shard) -> ShardOutcome | None:
    """The outcome of a shard written by an earlier run, or None if it must be (re)written."""
    if not shard.marker.is_file():
        return None
    values = json.loads(shard.marker.read_text())
    if values["key"] != shard.key() or values["bad_frames"]:
        return None
    return ShardOutcome(key=values["key"], frame_digests=values["frame_digests"], bad_frames=[])


def write_shard(shard: Shard) -> ShardOutcome:
    """Read the frames of a shard, write its rows of every array, then its marker.

    Args:
        shard: The piece.

    Returns:
        Digests of the frames, or the bad frames if there are any and they are quarantined.

    Raises:
        CalvinFormatError: At the first bad frame, unless quarantined.
    """
    cv2.setNumThreads(1)
    count = len(shard.frame_ids)
    rows: dict[str, NDArray[Any]] = {
        name: np.zeros((count, *shape), dtype) for name, (shape, dtype) in FRAME_ARRAYS.items()
    }
    bad: list[tuple[int, str]] = []
    for row, frame_id in enumerate(shard.frame_ids.tolist()):
        try:
            _fill_row(rows, row, _read_checked(shard, frame_id))
        except CalvinFormatError as error:
            if not shard.quarantine:
                raise
            bad.append((frame_id, str(error)))
    if bad:
        outcome = ShardOutcome(key=shard.key(), frame_digests="", bad_frames=bad)
    else:
        rows[PROPRIO] = proprio_from_robot_obs(rows[ROBOT_OBS], shard.rotation_convention)
        _write_rows(shard, rows)
        outcome = ShardOutcome(key=shard.key(), frame_digests=frame_digests(rows), bad_frames=[])
    _write_marker(shard.marker, outcome)
    return outcome


def _read_checked(shard: Shard, frame_id: int) -> Frame:
    file = shard.folder / frame_file_name(frame_id)
    frame = read_frame(file)
    shapes = (frame.image_static.shape, frame.image_gripper.shape)
    if shapes != shard.image_shapes:
        raise CalvinFormatError(
            f"{file}: images have shapes {shapes}, those of the other frames are {shard.image_shapes}; "
            "replace the frame or ingest with quarantine: true"
        )
    return frame


def _fill_row(rows: dict[str, NDArray[Any]], row: int, frame: Frame) -> None:
    rows[IMAGE_STATIC][row] = resize_image(frame.image_static)
    rows[IMAGE_GRIPPER][row] = resize_image(frame.image_gripper)
    rows[ACTION][row] = frame.action
    rows[ROBOT_OBS][row] = frame.robot_obs
    rows[SCENE_STATE][row] = frame.scene_obs


def _write_rows(shard: Shard, rows: dict[str, NDArray[Any]]) -> None:
    group = zarr.open_group(shard.store, mode="r+")
    last_row = shard.first_row + len(shard.frame_ids)
    index = shard.first_row // shard.shard_frames
    for name, values in rows.items():
        with every_chunk():
            array = group[name]
        assert isinstance(array, zarr.Array), f"{name} is not an array of {shard.store}"
        if is_mapped(array):
            map_rows(shard.store / name, array, writable=True)[shard.first_row : last_row] = values
            continue
        # What a killed run or another plan left must not shine through a partly filled shard.
        shutil.rmtree(shard.store / name / "c" / str(index), ignore_errors=True)
        with every_chunk():
            array[shard.first_row : last_row] = values


def _write_marker(marker: Path, outcome: ShardOutcome) -> None:
    partial = marker.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(outcome)))
    os.replace(partial, marker)
