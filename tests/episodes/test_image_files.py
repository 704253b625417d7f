"""The quick ways in and out of image files give what Zarr gives, and notice what is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from wam.episodes import store as store_module
from wam.episodes.calvin_format import frame_file_name
from wam.episodes.image_files import is_compressed, is_mapped, map_rows, read_compressed
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.sampler import gather_batch
from wam.episodes.store import EpisodeStore, EpisodeStoreError
from wam.episodes.verify import verify_store

MakeSplit = Callable[..., Path]
SIZES = {"workers": 1, "chunk_frames": 4, "shard_frames": 8}
CAMERAS = ("image_static", "image_gripper")


def pack(folder: Path, target: Path, **settings: object) -> EpisodeStore:
    ingest_split(folder, target, IngestConfig(**(SIZES | settings)))  # type: ignore[arg-type]
    return EpisodeStore(target)


@pytest.mark.parametrize("frames", [8, 9, 23])
def test_a_compressed_array_is_read_as_zarr_reads_it(
    make_split: MakeSplit, tmp_path: Path, frames: int
) -> None:
    store = pack(make_split(lengths=(frames,)), tmp_path / "out.zarr")
    for name in CAMERAS:
        array = store.array(name)
        assert is_compressed(array)
        assert not is_mapped(array)
        np.testing.assert_array_equal(read_compressed(store.path / name, array, 2), array[...])


def test_other_layouts_are_left_to_zarr(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "plain", shape=(5, 4, 4, 3), chunks=(2, 4, 4, 3), dtype="u1")
    assert not is_compressed(array)
    assert not is_mapped(array)


def test_a_damaged_chunk_and_a_damaged_index_are_noticed(make_split: MakeSplit, tmp_path: Path) -> None:
    store = pack(make_split(lengths=(9,)), tmp_path / "out.zarr")
    file = store.path / "image_static/c/0/0/0/0"
    good = file.read_bytes()
    for place, message in ((40, "checksum of chunk 0"), (len(good) - 9, "index of")):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(EpisodeStoreError, match=f"'image_static' is damaged \\({message}"):
            store.load()
    file.write_bytes(good[:30])
    with pytest.raises(EpisodeStoreError, match="is damaged"):
        store.load()


@pytest.mark.parametrize("frames", [8, 23])
def test_a_mapped_store_holds_the_same_frames(make_split: MakeSplit, tmp_path: Path, frames: int) -> None:
    folder = make_split(lengths=(frames, 5))
    one, two = pack(folder, tmp_path / "one.zarr"), pack(folder, tmp_path / "two.zarr", images="mapped")
    assert one.digest == two.digest
    assert verify_store(two)["faults"] == verify_store(one)["faults"]
    rows = np.arange(12).reshape(3, 4)
    for name in CAMERAS:
        array = two.array(name)
        assert is_mapped(array)
        mapped = map_rows(two.path / name, array)
        np.testing.assert_array_equal(mapped, one.array(name)[...])
        np.testing.assert_array_equal(array[3:11], mapped[3:11])  # by Zarr itself
        batches = [gather_batch(store.load(), rows)[name] for store in (one, two)]
        np.testing.assert_array_equal(*batches)


def test_changing_a_mapped_array_does_not_change_the_file(make_split: MakeSplit, tmp_path: Path) -> None:
    store = pack(make_split(lengths=(5,)), tmp_path / "out.zarr", images="mapped")
    before = store.array("image_static")[...]
    store.load().image_static[...] = 0
    np.testing.assert_array_equal(store.array("image_static")[...], before)


def test_a_mapped_file_of_another_length_is_refused(make_split: MakeSplit, tmp_path: Path) -> None:
    store = pack(make_split(lengths=(5,)), tmp_path / "out.zarr", images="mapped")
    file = store.path / "image_gripper/c/0/0/0/0"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(EpisodeStoreError, match=r"'image_gripper' is damaged .* expected"):
        store.load()


def test_frames_left_out_leave_no_trace_in_a_mapped_file(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split(lengths=(21,))
    bad = folder / frame_file_name(20)  # in the last shard: the first two are written before it is found
    bad.write_bytes(bad.read_bytes()[:50])
    settings = {"images": "mapped", "quarantine": True, "require_annotations": False}
    store = pack(folder, tmp_path / "one.zarr", **settings)
    again = pack(folder, tmp_path / "two.zarr", **(settings | {"images": "compressed"}))
    assert store.digest == again.digest
    for name in CAMERAS:
        np.testing.assert_array_equal(store.read(name), again.read(name))
        frames = (store.path / name / "c/0/0/0/0").read_bytes()
        assert not any(frames[store.num_frames * 64 * 64 * 3 : 24 * 64 * 64 * 3])


def test_images_that_do_not_fit_are_refused_with_the_remedy(
    make_split: MakeSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_split(lengths=(5,))
    monkeypatch.setattr(store_module, "available_memory", lambda: 1000)
    with pytest.raises(
        MemoryError, match=r"0\.0 GB of memory are free; pack the episodes again with ingest\.im"
    ):
        pack(folder, tmp_path / "one.zarr").load()
    assert pack(folder, tmp_path / "two.zarr", images="mapped").load().num_frames == 5
