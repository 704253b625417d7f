import gc
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wam.contracts import OPEN_GRIPPER_ACTION
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore, EpisodeStoreError

MakeStore = Callable[..., EpisodeStore]


def test_previous_action_is_open_gripper_at_starts_only(make_store: MakeStore) -> None:
    episodes = make_store().load()
    previous = episodes.prev_action()
    for row in range(episodes.num_frames):
        expected = OPEN_GRIPPER_ACTION if episodes.is_first[row] else episodes.action[row - 1]
        np.testing.assert_array_equal(previous[row], np.float32(expected))


def test_rows_and_frame_ids_are_inverse(make_store: MakeStore) -> None:
    episodes = make_store(lengths=(3, 2, 4)).load(images=False)
    np.testing.assert_array_equal(episodes.row_of(episodes.frame_id[::-1]), np.arange(9)[::-1])
    assert int(episodes.row_of(10)) == 0
    assert episodes.row_of(np.zeros((0, 2), int)).shape == (0, 2)
    with pytest.raises(KeyError, match="frame 13 is not in the store"):
        episodes.row_of([10, 13])
    np.testing.assert_array_equal(episodes.has_frame([[10, 13]]), [[True, False]])


def test_episode_of_row(make_store: MakeStore) -> None:
    episodes = make_store(lengths=(3, 2, 4)).load(images=False)
    np.testing.assert_array_equal(episodes.episode_of(np.arange(9)), [0, 0, 0, 1, 1, 2, 2, 2, 2])


def test_without_images_nothing_else_differs(make_store: MakeStore) -> None:
    store = make_store()
    whole, light = store.load(), store.load(images=False)
    assert light.image_static.shape == (0, 64, 64, 3)
    np.testing.assert_array_equal(light.proprio, whole.proprio)


def test_a_download_has_no_layout(make_store: MakeStore) -> None:
    episodes = make_store(layouts=False).load()
    assert episodes.layout is None
    assert episodes.layout_names == ()


def test_summary_is_json_and_says_what_is_inside(make_store: MakeStore) -> None:
    store = make_store(lengths=(3, 2))
    summary = json.loads(json.dumps(store.summary()))
    assert (summary["num_frames"], summary["num_episodes"], store.num_frames, store.num_episodes) == (
        5,
        2,
        5,
        2,
    )
    assert summary["digest"] == store.digest
    assert summary["rotation_convention"] == "extrinsic"


def test_a_torn_store_is_refused(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    with pytest.raises(EpisodeStoreError, match="run ingest first"):
        EpisodeStore(tmp_path / "absent.zarr")
    root = store.path / "zarr.json"
    values = json.loads(root.read_text())
    del values["attributes"]["digest"]
    root.write_text(json.dumps(values))
    with pytest.raises(EpisodeStoreError, match="no digest"):
        EpisodeStore(store.path)
    root.write_text("{")
    with pytest.raises(EpisodeStoreError, match="cannot be opened"):
        EpisodeStore(store.path)


def test_a_future_format_is_refused(make_store: MakeStore) -> None:
    store = make_store()
    root = store.path / "zarr.json"
    root.write_text(root.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(EpisodeStoreError, match="format version 2, this code reads 1"):
        EpisodeStore(store.path)


def test_damaged_and_missing_arrays_are_named(make_store: MakeStore) -> None:
    store = make_store()
    chunk = next(file for file in (store.path / "proprio" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(EpisodeStoreError, match="array 'proprio' is damaged"):
        store.load()
    chunk.unlink()
    with pytest.raises(EpisodeStoreError, match="array 'proprio' has lost 1 of its files"):
        store.load()
    shutil.rmtree(store.path / "action")
    with pytest.raises(KeyError, match="no array 'action'"):
        EpisodeStore(store.path).load()


def test_statistics_cover_every_store(make_store: MakeStore) -> None:
    stores = [make_store(), make_store("validation", seed=1)]
    proprio = np.concatenate([store.load().proprio for store in stores])
    both = ProprioStatistics.from_stores(stores)
    np.testing.assert_array_equal(both.minimum, proprio.min(axis=0))
    np.testing.assert_array_equal(both.maximum, proprio.max(axis=0))
    assert (ProprioStatistics.from_stores(stores[:1]).maximum <= both.maximum).all()


def test_statistics_survive_json_exactly(make_store: MakeStore) -> None:
    statistics = ProprioStatistics.from_stores([make_store()])
    again = ProprioStatistics.from_dict(json.loads(json.dumps(statistics.to_dict())))
    np.testing.assert_array_equal(again.minimum, statistics.minimum)
    np.testing.assert_array_equal(again.maximum, statistics.maximum)
    assert again.minimum.dtype == np.float32


def test_bad_statistics_are_refused() -> None:
    zeros, ones = np.zeros(18, np.float32), np.ones(18, np.float32)
    with pytest.raises(ValueError, match=r"maximum\[0\] = 0.0 lies below minimum 1.0"):
        ProprioStatistics(minimum=ones, maximum=zeros)
    with pytest.raises(ValueError, match="18 finite values"):
        ProprioStatistics(minimum=zeros[:3], maximum=ones)
    with pytest.raises(ValueError, match="got \\['min'\\]"):
        ProprioStatistics.from_dict({"min": []})
    with pytest.raises(ValueError, match="at least one"):
        ProprioStatistics.from_stores([])


def test_readers_at_the_same_time_share_one_copy_and_nothing_else_keeps_it(
    make_store: Callable[..., EpisodeStore],
) -> None:
    store = make_store()
    first = EpisodeStore(store.path).load()
    assert EpisodeStore(store.path).load() is first
    assert EpisodeStore(store.path).load(images=False) is not first
    alive = weakref.ref(first)
    del first
    gc.collect()
    assert alive() is None
