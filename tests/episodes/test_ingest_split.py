import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from wam.episodes import ingest as ingest_module
from wam.episodes.calvin_format import Annotation, CalvinFormatError, CalvinSplit, frame_file_name, read_frame
from wam.episodes.ingest import IngestConfig, IngestReport, ingest_split, split_around
from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.shard import Shard, write_shard
from wam.episodes.store import EpisodeStore
from wam.parallel.map import shutdown_workers

MakeSplit = Callable[..., Path]


def settings(**changes: object) -> IngestConfig:
    return IngestConfig(**({"workers": 1, "chunk_frames": 2, "shard_frames": 4} | changes))  # type: ignore[arg-type]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def rewrite(file: Path, **changes: object) -> None:
    with np.load(file) as data:
        values = dict(data)
    np.savez_compressed(
        file, **{key: value for key, value in (values | changes).items() if value is not None}
    )


def test_every_value_of_every_frame_arrives(make_split: MakeSplit, tmp_path: Path) -> None:
    split = CalvinSplit(make_split(lengths=(5, 6)))
    report = ingest_split(split.folder, tmp_path / "out.zarr", settings())
    episodes = EpisodeStore(tmp_path / "out.zarr").load()
    frames = [split.read_frame(frame_id) for frame_id in split.frame_ids]
    assert report.num_frames == episodes.num_frames == 11
    np.testing.assert_array_equal(episodes.image_static, [frame.image_static for frame in frames])
    np.testing.assert_array_equal(episodes.image_gripper, [frame.image_gripper for frame in frames])
    np.testing.assert_array_equal(episodes.action, np.float32([frame.action for frame in frames]))
    np.testing.assert_array_equal(episodes.robot_obs, [frame.robot_obs for frame in frames])
    np.testing.assert_array_equal(episodes.scene_state, [frame.scene_obs for frame in frames])
    np.testing.assert_array_equal(episodes.proprio, proprio_from_robot_obs(episodes.robot_obs))
    np.testing.assert_array_equal(episodes.frame_id, split.frame_ids)
    np.testing.assert_array_equal(np.flatnonzero(episodes.is_first), [0, 5])
    np.testing.assert_array_equal(episodes.layout, split.layouts)
    assert episodes.layout_names == split.layout_names
    assert not (tmp_path / "out.zarr.partial").exists()


def test_calvin_sizes_are_resized_by_area(make_split: MakeSplit, tmp_path: Path) -> None:
    split = CalvinSplit(make_split(lengths=(2,), static_size=200, gripper_size=84))
    ingest_split(split.folder, tmp_path / "out.zarr", settings())
    frame = split.read_frame(11)
    loaded = EpisodeStore(tmp_path / "out.zarr").load()
    np.testing.assert_array_equal(
        loaded.image_static[1], cv2.resize(frame.image_static, (64, 64), interpolation=cv2.INTER_AREA)
    )
    np.testing.assert_array_equal(
        loaded.image_gripper[1], cv2.resize(frame.image_gripper, (64, 64), interpolation=cv2.INTER_AREA)
    )


def test_digest_depends_on_content_and_not_on_sharding(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split(lengths=(9, 4))
    one = ingest_split(folder, tmp_path / "one.zarr", settings())
    two = ingest_split(folder, tmp_path / "two.zarr", settings(chunk_frames=3, shard_frames=6))
    assert one.digest == two.digest
    assert len(one.digest) == 32
    rewrite(folder / frame_file_name(12), robot_obs=np.ones(15))
    assert ingest_split(folder, tmp_path / "three.zarr", settings()).digest != one.digest


@pytest.mark.slow
def test_workers_write_the_same_bytes(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split(lengths=(9, 4))
    ingest_split(folder, tmp_path / "one.zarr", settings())
    ingest_split(folder, tmp_path / "two.zarr", settings(workers=2))
    shutdown_workers()
    assert tree(tmp_path / "one.zarr") == tree(tmp_path / "two.zarr")


def test_killed_and_continued_equals_uninterrupted(
    make_split: MakeSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_split(lengths=(9, 4))
    ingest_split(folder, tmp_path / "whole.zarr", settings())
    written: list[int] = []

    def dies_at_third(shard: Shard) -> object:
        if len(written) == 2:
            leftover = shard.store / "image_static" / "c" / "2" / "0" / "0" / "0"
            leftover.parent.mkdir(parents=True)
            leftover.write_bytes(b"torn")
            raise KeyboardInterrupt
        written.append(shard.first_row)
        return write_shard(shard)

    monkeypatch.setattr(ingest_module, "write_shard", dies_at_third)
    with pytest.raises(KeyboardInterrupt):
        ingest_split(folder, tmp_path / "again.zarr", settings())
    assert not (tmp_path / "again.zarr").exists()
    monkeypatch.setattr(
        ingest_module, "write_shard", lambda shard: written.append(shard.first_row) or write_shard(shard)
    )
    ingest_split(folder, tmp_path / "again.zarr", settings())
    assert written == [0, 4, 8, 12]
    assert tree(tmp_path / "again.zarr") == tree(tmp_path / "whole.zarr")


def test_second_call_returns_the_report_and_other_settings_are_refused(
    make_split: MakeSplit, tmp_path: Path
) -> None:
    folder = make_split()
    first = ingest_split(folder, tmp_path / "out.zarr", settings())
    assert ingest_split(folder, tmp_path / "out.zarr", settings(workers=2)) == first
    with pytest.raises(FileExistsError, match="other episodes or settings"):
        ingest_split(folder, tmp_path / "out.zarr", settings(rotation_convention="intrinsic"))


def test_stray_frames_are_left_out_and_counted(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split()
    shutil.copy(folder / frame_file_name(10), folder / frame_file_name(999))
    report = ingest_split(folder, tmp_path / "out.zarr", settings())
    assert report.stray_frames == 1
    assert 999 not in EpisodeStore(tmp_path / "out.zarr").load().frame_id


BAD_FRAMES = {
    "nan": (lambda file: rewrite(file, rel_actions=np.full(7, np.nan)), r"rel_actions\[0\] is nan"),
    "infinite pose": (lambda file: rewrite(file, robot_obs=np.full(15, np.inf)), r"robot_obs\[0\] is inf"),
    "shape": (lambda file: rewrite(file, scene_obs=np.zeros(23)), r"scene_obs has shape \(23,\)"),
    "integer vector": (
        lambda file: rewrite(file, actions=np.zeros(7, int)),
        "actions has shape .* dtype int64",
    ),
    "image dtype": (
        lambda file: rewrite(file, rgb_static=np.zeros((64, 64, 3))),
        "rgb_static has .* float64",
    ),
    "image shape": (
        lambda file: rewrite(file, rgb_gripper=np.zeros((64, 64), np.uint8)),
        "rgb_gripper has shape",
    ),
    "image size": (
        lambda file: rewrite(file, rgb_static=np.zeros((9, 9, 3), np.uint8)),
        "images have shapes",
    ),
    "missing key": (lambda file: rewrite(file, rel_actions=None), "rel_actions"),
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[:2000]), "cannot be read"),
    "empty": (lambda file: file.write_bytes(b""), "cannot be read"),
    "not an npz": (lambda file: file.write_text("hello"), "cannot be read"),
    "missing file": (lambda file: file.unlink(), "do not exist, first: episode_0000012.npz"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_bad_frame_stops_with_its_name_and_leaves_nothing(
    case: str, make_split: MakeSplit, tmp_path: Path
) -> None:
    folder = make_split()
    spoil, message = BAD_FRAMES[case]
    spoil(folder / frame_file_name(12))
    with pytest.raises(CalvinFormatError, match=message) as caught:
        ingest_split(folder, tmp_path / "out.zarr", settings())
    assert "episode_0000012.npz" in str(caught.value)
    assert "quarantine: true" in str(caught.value)
    assert not (tmp_path / "out.zarr").exists()


def test_quarantine_cuts_every_episode_at_its_bad_frame(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split(lengths=(5,) * len(BAD_FRAMES), gap=5)
    first_ids = 10 + 10 * np.arange(len(BAD_FRAMES))
    for first_id, (spoil, _) in zip(first_ids, BAD_FRAMES.values(), strict=True):
        spoil(folder / frame_file_name(first_id + 2))
    report = ingest_split(folder, tmp_path / "out.zarr", settings(quarantine=True, shard_frames=8))
    episodes = EpisodeStore(tmp_path / "out.zarr").load()
    assert [row["frame_id"] for row in report.quarantined_frames] == (first_ids + 2).tolist()
    assert all(row["reason"] for row in report.quarantined_frames)
    np.testing.assert_array_equal(episodes.frame_id, np.add.outer(first_ids, [0, 1, 3, 4]).ravel())
    np.testing.assert_array_equal(episodes.episode_length, [2, 2] * len(BAD_FRAMES))
    np.testing.assert_array_equal(np.flatnonzero(episodes.is_first), 2 * np.arange(2 * len(BAD_FRAMES)))
    np.testing.assert_array_equal(episodes.source_episode, np.repeat(np.arange(len(BAD_FRAMES)), 2))
    assert episodes.layout is not None
    np.testing.assert_array_equal(episodes.layout[::2], episodes.layout[1::2])
    json.dumps(EpisodeStore(tmp_path / "out.zarr").summary())


def test_quarantine_result_equals_a_folder_that_never_had_the_frame(
    make_split: MakeSplit, tmp_path: Path
) -> None:
    folder = make_split()
    rewrite(folder / frame_file_name(21), rel_actions=np.full(7, np.nan))
    late = ingest_split(folder, tmp_path / "late.zarr", settings(quarantine=True))
    (folder / frame_file_name(21)).unlink()
    early = ingest_split(folder, tmp_path / "early.zarr", settings(quarantine=True))
    assert late.digest == early.digest
    for name in ("image_static", "image_gripper", "robot_obs"):
        assert tree(tmp_path / "late.zarr" / name) == tree(tmp_path / "early.zarr" / name)


def test_nothing_left_is_an_error(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split(lengths=(2,))
    for frame_id in (10, 11):
        (folder / frame_file_name(frame_id)).unlink()
    with pytest.raises(CalvinFormatError, match="unusable"):
        ingest_split(folder, tmp_path / "out.zarr", settings(quarantine=True))


def test_annotations_are_checked_before_work(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split(annotations=[Annotation("open_drawer", 10, 99, "open")])
    with pytest.raises(CalvinFormatError, match="10 to 99"):
        ingest_split(folder, tmp_path / "out.zarr", settings())
    assert not (tmp_path / "out.zarr.partial").exists()
    report = ingest_split(folder, tmp_path / "out.zarr", settings(quarantine=True))
    assert len(report.quarantined_annotations) == 1


def test_missing_annotations_stop_unless_not_required(make_split: MakeSplit, tmp_path: Path) -> None:
    folder = make_split()
    (folder / "lang_annotations" / "auto_lang_ann.npy").unlink()
    with pytest.raises(CalvinFormatError, match=r"auto_lang_ann\.npy is missing"):
        ingest_split(folder, tmp_path / "out.zarr", settings())
    assert isinstance(
        ingest_split(folder, tmp_path / "out.zarr", settings(require_annotations=False)), IngestReport
    )


def test_split_around_keeps_every_good_frame() -> None:
    parts = split_around(np.array([[0, 4], [7, 9]]), np.array([0, 2, 3, 9]))
    np.testing.assert_array_equal(parts, [[1, 1, 0], [4, 4, 0], [7, 8, 1]])


def test_shards_must_be_whole_chunks() -> None:
    with pytest.raises(ValueError, match=r"shard_frames \(5\) must be a multiple of chunk_frames \(2\)"):
        settings(shard_frames=5)


def test_reading_a_frame_keeps_double_precision(make_split: MakeSplit) -> None:
    frame = read_frame(make_split() / frame_file_name(10))
    assert {value.dtype for value in (frame.action, frame.robot_obs, frame.scene_obs)} == {
        np.dtype(np.float64)
    }
