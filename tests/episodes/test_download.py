"""A folder as it is downloaded: read, described, announced, packed, verified."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from calvin_download import LATER_FOLDER, Download, write_download

from wam.episodes import ingest_plan
from wam.episodes.calvin_defects import inspect_folder, load_scenes
from wam.episodes.calvin_format import CalvinFormatError, CalvinSplit
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.ingest_plan import FRAME_BYTES, DiskTooSmallError, duration, plan_ingest
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore, EpisodeStoreError
from wam.episodes.verify import verify_store
from wam.tasks.table import TASK_NAMES

pytestmark = pytest.mark.slow  # frames of full size are written

SETTINGS = IngestConfig(workers=1, chunk_frames=16, shard_frames=64)


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_download(tmp_path_factory.mktemp("task_D_D"), Download(segment_frames=12))


@pytest.fixture
def copy(download: Path, tmp_path: Path) -> Path:
    """Of the training split, to damage."""
    return shutil.copytree(download / "training", tmp_path / "training")


@pytest.fixture(scope="module")
def store(download: Path, tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    target = tmp_path_factory.mktemp("packed") / "training.zarr"
    ingest_split(download / "training", target, SETTINGS)
    return EpisodeStore(target)


def test_a_frame_has_the_keys_shapes_and_types_of_the_data_set(download: Path) -> None:
    with np.load(download / "training/episode_0000100.npz") as frame:
        found = {key: (frame[key].shape, frame[key].dtype.name) for key in frame.files}
    assert found == {
        "actions": ((7,), "float64"),
        "rel_actions": ((7,), "float64"),
        "robot_obs": ((15,), "float64"),
        "scene_obs": ((24,), "float64"),
        "rgb_static": ((200, 200, 3), "uint8"),
        "rgb_gripper": ((84, 84, 3), "uint8"),
        "rgb_tactile": ((160, 120, 6), "uint8"),
        "depth_static": ((200, 200), "float32"),
        "depth_gripper": ((84, 84), "float32"),
        "depth_tactile": ((160, 120, 2), "float32"),
    }


def test_a_sound_folder_is_described(download: Path) -> None:
    found = inspect_folder(CalvinSplit(download / "training"))
    assert (found.frames, found.episodes, found.missing, found.stray) == (96, 1, 0, 1)
    assert found.segments == len(TASK_NAMES) + 1
    assert [defect.split(" belong")[0] for defect in found.defects] == ["1 frame files"]
    assert load_scenes(download / "training") == {"calvin_scene_D": (0, 192)}, "of both splits together"
    assert load_scenes(download / "validation") == {}


def test_recordings_of_the_splits_take_turns_in_the_frame_ids(tmp_path: Path) -> None:
    page = Download(training_episodes=2, validation_episodes=2, segment_frames=6, extras=False)
    root = write_download(tmp_path / "task_D_D", page)
    splits = {name: CalvinSplit(root / name) for name in ("validation", "training")}
    firsts = {name: split.episodes[:, 0].tolist() for name, split in splits.items()}
    assert firsts == {"validation": [0, 98], "training": [49, 147]}
    assert load_scenes(root / "training") == {"calvin_scene_D": (0, 194)}
    for name, split in splits.items():
        report = ingest_split(split.folder, tmp_path / f"{name}.zarr", SETTINGS)
        packed = EpisodeStore(tmp_path / f"{name}.zarr").load()
        assert (report.num_frames, report.num_episodes, report.stray_frames) == (96, 2, 2)
        assert packed.frame_id.tolist() == split.frame_ids.tolist()
        assert np.flatnonzero(packed.is_first).tolist() == [0, 48]
        assert packed.robot_obs[48].tolist() == split.read_frame(firsts[name][1]).robot_obs.tolist()
        assert not any("scene" in defect for defect in inspect_folder(split).defects)


def test_segments_of_the_later_folder_are_the_same(copy: Path) -> None:
    before = CalvinSplit(copy).annotations
    shutil.rmtree(copy / "lang_annotations")
    assert CalvinSplit(copy).annotations == before
    assert any(LATER_FOLDER in defect for defect in inspect_folder(CalvinSplit(copy)).defects)
    shutil.rmtree(copy / LATER_FOLDER)
    with pytest.raises(CalvinFormatError, match="lang_<model>"):
        _ = CalvinSplit(copy).annotations
    assert any("no task segments" in defect for defect in inspect_folder(CalvinSplit(copy)).defects)


@pytest.mark.parametrize(
    ("scenes", "told"),
    [
        ({"calvin_scene_A": [0, 611098]}, "before 24 February 2023"),
        ({"calvin_scene_B": [0, 300]}, "names calvin_scene_B"),
        ({"calvin_scene_D": [0, 100]}, "has frames 0 to 100"),
    ],
)
def test_known_defects_of_scene_info_are_told(copy: Path, scenes: dict[str, list[int]], told: str) -> None:
    np.save(copy / "scene_info.npy", np.asarray(scenes), allow_pickle=True)
    assert any(told in defect for defect in inspect_folder(CalvinSplit(copy)).defects)


def test_other_known_defects_are_told(copy: Path) -> None:
    next(copy.glob("episode_*.npz")).unlink()
    np.save(copy / "ep_lens.npy", np.array([5]))
    defects = " ".join(inspect_folder(CalvinSplit(copy)).defects)
    assert "1 of 96 frame files do not exist" in defects
    assert "ep_lens.npy does not fit" in defects
    (copy / "ep_start_end_ids.npy").unlink()
    with pytest.raises(CalvinFormatError, match="reduced copies"):
        CalvinSplit(copy)


def test_published_data_sets_are_recognised_by_their_frames(
    monkeypatch: pytest.MonkeyPatch, copy: Path
) -> None:
    from wam.episodes import calvin_defects

    assert inspect_folder(CalvinSplit(copy)).data_set == ""
    monkeypatch.setitem(calvin_defects.KNOWN_FRAMES, ("training", 96), "tiny")
    assert inspect_folder(CalvinSplit(copy)).data_set == "tiny"


def test_stray_frames_are_left_out_and_counted(download: Path, tmp_path: Path) -> None:
    report = ingest_split(download / "validation", tmp_path / "v.zarr", SETTINGS)
    assert (report.num_frames, report.stray_frames) == (96, 1)


def test_a_packed_frame_takes_what_is_announced() -> None:
    assert FRAME_BYTES == 2 * 64 * 64 * 3 + 8 * (7 + 15 + 24) + 4 * 18
    assert round(512_077 * 24_576 / 1e9, 1) == 12.6


def test_what_packing_takes_is_said_before(
    download: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        ingest_split(download / "training", tmp_path / "t.zarr", SETTINGS)
    assert "pack into t.zarr: 96 frames, at most 0.0 GB of disk" in caplog.text


def test_time_is_told_from_a_few_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, read = iter([10.0, 10.0 + 24 * 0.02]), []
    monkeypatch.setattr(ingest_plan, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(ingest_plan.shutil, "disk_usage", lambda _: SimpleNamespace(free=20e9))
    plan = plan_ingest(np.arange(512_077), read.append, tmp_path / "deep/t.zarr", workers=8)
    assert read[0] == 0
    assert read[-1] == 512_076
    assert plan.seconds == pytest.approx(512_077 * 0.02 / 8)
    assert "512,077 frames, at most 13.5 GB of disk" in str(plan)
    assert "8 processes, about 21 min (from 24 frames)" in str(plan)


def test_a_disk_that_is_too_small_stops_before_work(
    download: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_plan.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(
        DiskTooSmallError, match=r"GB more, or put the data elsewhere with --params data_root"
    ):
        ingest_split(download / "training", tmp_path / "t.zarr", SETTINGS)
    assert not (tmp_path / "t.zarr").exists()


def test_durations() -> None:
    assert [duration(x) for x in (12, 600, 9000)] == ["12 s", "10 min", "2.5 h"]


def test_a_sound_store_is_verified(store: EpisodeStore) -> None:
    found = verify_store(store)
    assert found["faults"] == []
    assert found["recomputed_digest"] == store.digest
    assert (found["frames"], found["episodes"]) == (96, 1)
    assert found["ranges"]["drawer"] == [0.0, 0.20]
    assert found["mean_pixel"]["image_static"] == pytest.approx(store.read("image_static").mean())


def _spoil(store: EpisodeStore, tmp_path: Path, change: Callable[[zarr.Group], None]) -> EpisodeStore:
    path = shutil.copytree(store.path, tmp_path / "spoilt.zarr")
    change(zarr.open_group(path, mode="r+"))
    return EpisodeStore(path)


@pytest.mark.parametrize(
    ("array", "value", "told"),
    [
        ("action", 1.5, "relative actions lie in"),
        ("action", 0.25, "gripper actions are neither"),
        ("robot_obs", 0.3, "does not follow from their robot_obs"),
        ("scene_state", 9.0, "plausible is"),
        ("frame_id", 5, "occur twice"),
        ("is_first", True, "is_first accounts for 2"),
    ],
)
def test_a_value_that_was_changed_is_found(
    store: EpisodeStore, tmp_path: Path, array: str, value: float, told: str
) -> None:
    def change(group: zarr.Group) -> None:
        rows = np.asarray(group[array][:])
        rows[7] = value
        rows[8] = value if array == "frame_id" else rows[8]
        group[array][:] = rows

    faults = verify_store(_spoil(store, tmp_path, change))["faults"]
    assert any(told in fault for fault in faults)
    assert any("recorded is" in fault for fault in faults)


def test_a_lost_file_stops_verification(store: EpisodeStore, tmp_path: Path) -> None:
    path = shutil.copytree(store.path, tmp_path / "lost.zarr")
    shutil.rmtree(path / "image_static/c/1")
    with pytest.raises(EpisodeStoreError, match="has lost 1 of its files"):
        verify_store(EpisodeStore(path))


def test_statistics_follow_the_convention_of_the_store(download: Path, tmp_path: Path) -> None:
    stores = []
    for convention in ("intrinsic", "extrinsic"):
        target = tmp_path / f"{convention}.zarr"
        settings = IngestConfig(workers=1, shard_frames=64, rotation_convention=convention)
        ingest_split(download / "validation", target, settings)
        stores.append(EpisodeStore(target))
    statistics = ProprioStatistics.from_stores(stores[:1])
    assert statistics.convention == "intrinsic"
    assert ProprioStatistics.from_dict(statistics.to_dict()).convention == "intrinsic"
    with pytest.raises(ValueError, match="ingest both alike"):
        ProprioStatistics.from_stores(stores)
