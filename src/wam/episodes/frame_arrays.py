"""The arrays of an episode store with one row per frame: their types, and how they lie on disk."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, Crc32cCodec

from wam.contracts import (
    ACTION,
    ACTION_DIM,
    IMAGE_GRIPPER,
    IMAGE_SIZE,
    IMAGE_STATIC,
    PROPRIO,
    PROPRIO_DIM,
    ROBOT_OBS,
    ROBOT_OBS_DIM,
    SCENE_STATE,
    SCENE_STATE_DIM,
)
from wam.episodes.image_files import clear_spare_rows, is_mapped, make_mapped_file

IMAGE_SHAPE: Final = (IMAGE_SIZE, IMAGE_SIZE, 3)
FRAME_ARRAYS: Final[dict[str, tuple[tuple[int, ...], type]]] = {
    IMAGE_STATIC: (IMAGE_SHAPE, np.uint8),
    IMAGE_GRIPPER: (IMAGE_SHAPE, np.uint8),
    ACTION: ((ACTION_DIM,), np.float64),
    ROBOT_OBS: ((ROBOT_OBS_DIM,), np.float64),
    SCENE_STATE: ((SCENE_STATE_DIM,), np.float64),
    PROPRIO: ((PROPRIO_DIM,), np.float32),
}
"""Arrays with one row per frame that shards fill: shape of a row and type."""
DIGEST_BYTES: Final = 16


def create_arrays(
    store: Path, num_frames: int, *, chunk_frames: int, shard_frames: int, mapped_room: int | None = None
) -> None:
    """Make the arrays that shards fill, or fit those of an interrupted run to the number of frames.

    Args:
        store: Zarr group, made when missing.
        num_frames: Rows.
        chunk_frames: Rows compressed together, images only; vectors are compressed by whole shards.
        shard_frames: Rows per file.
        mapped_room: Rows that the one file of mapped images has room for, at least ``num_frames``; None
            compresses images.
    """
    group = zarr.open_group(store, mode="a")
    for name, (shape, dtype) in FRAME_ARRAYS.items():
        array = group.get(name)
        if isinstance(array, zarr.Array):
            array.resize((num_frames, *shape))
        else:
            array = group.create_array(
                name,
                shape=(num_frames, *shape),
                dtype=dtype,
                **_layout(shape, chunk_frames, shard_frames, mapped_room),
            )
        if is_mapped(array):
            make_mapped_file(store / name, array)


def _layout(
    shape: tuple[int, ...], chunk_frames: int, shard_frames: int, mapped_room: int | None
) -> dict[str, Any]:
    if len(shape) != 3:
        return {"chunks": (shard_frames, *shape), "compressors": _compressors(is_image=False)}
    if mapped_room is None:
        sizes, compressors = shard_frames, _compressors(is_image=True)
    else:
        sizes, compressors = -(-mapped_room // chunk_frames) * chunk_frames, []
    return {"chunks": (chunk_frames, *shape), "shards": (sizes, *shape), "compressors": compressors}


def clear_spare_images(store: Path) -> None:
    """Zero what lies behind the last frame of images that are mapped, once all frames are written."""
    group = zarr.open_group(store, mode="r")
    for name in (IMAGE_STATIC, IMAGE_GRIPPER):
        array = group[name]
        assert isinstance(array, zarr.Array), f"{name} is not an array of {store}"
        if is_mapped(array):
            clear_spare_rows(store / name, array)


def frame_digests(rows: Mapping[str, NDArray[Any]]) -> str:
    """One digest per frame over all its values: the digest of a store does not depend on its sharding.

    Args:
        rows: Every array of ``FRAME_ARRAYS``, one row per frame.

    Returns:
        32 hexadecimal digits per frame, joined.
    """
    digests = []
    for row in range(len(rows[ACTION])):
        digest = blake2b(digest_size=DIGEST_BYTES)
        for name in FRAME_ARRAYS:
            digest.update(np.ascontiguousarray(rows[name][row]).data)
        digests.append(digest.hexdigest())
    return "".join(digests)


def write_table(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Write a small array whole, in one chunk, over what an interrupted run may have left."""
    with every_chunk():
        group.create_array(
            name,
            data=values,
            chunks=tuple(max(1, size) for size in values.shape),
            compressors=_compressors(is_image=False),
            overwrite=True,
        )


def _compressors(*, is_image: bool) -> list[BytesBytesCodec]:
    """Fast compression, then a checksum: without one, a torn chunk would decode to noise unnoticed."""
    return [BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle" if is_image else "shuffle"), Crc32cCodec()]


def every_chunk() -> AbstractContextManager[Any]:
    """Write chunks of zeros too, so that a chunk that is not there is known to be lost."""
    setting: AbstractContextManager[Any] = zarr.config.set({"array.write_empty_chunks": True})
    return setting
