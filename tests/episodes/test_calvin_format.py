import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wam.episodes.calvin_format import (
    CALVIN_TASKS,
    Annotation,
    CalvinFormatError,
    CalvinSplit,
    Frame,
    frame_file_name,
    read_frame,
)
from wam.tasks.table import TASK_NAMES

MakeSplit = Callable[..., Path]
IDS = "ep_start_end_ids.npy"
ANNOTATIONS = "lang_annotations/auto_lang_ann.npy"


def test_knows_the_34_tasks_and_ours_among_them() -> None:
    assert len(CALVIN_TASKS) == 34
    assert set(TASK_NAMES) <= CALVIN_TASKS


def test_reads_what_was_written(make_split: MakeSplit) -> None:
    rows = [
        Annotation("open_drawer", 10, 13, "open it"),
        Annotation("lift_red_block_table", 18, 21, "lift it"),
    ]
    split = CalvinSplit(make_split(annotations=rows))
    np.testing.assert_array_equal(split.episodes, [[10, 14], [18, 21]])
    np.testing.assert_array_equal(split.frame_ids, [10, 11, 12, 13, 14, 18, 19, 20, 21])
    np.testing.assert_array_equal(split.present_ids, split.frame_ids)
    assert split.annotations == rows
    assert split.layout_names == ("button_x", "handle_x")
    assert split.read_frame(10).image_static.shape == (64, 64, 3)


def test_a_download_has_no_layouts(make_split: MakeSplit) -> None:
    split = CalvinSplit(make_split(layouts=False))
    assert split.layouts is None
    assert split.layout_names == ()


def test_other_files_in_the_folder_are_no_frames(make_split: MakeSplit) -> None:
    folder = make_split()
    (folder / "episode_12345678.npz").touch()
    (folder / "episode_abcdefg.npz").touch()
    (folder / "notes.txt").touch()
    assert len(CalvinSplit(folder).stray_ids()) == 0


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.array([10, 14]), r"shape \(2,\)"),
        (np.zeros((0, 2), int), r"shape \(0, 2\)"),
        (np.array([[10.0, 14.0]]), "dtype float64"),
        (np.array([[14, 10]]), "episode 0 runs from frame 14 to 10"),
        (np.array([[-3, 10]]), "episode 0 runs from frame -3 to 10"),
        (np.array([[10, 14], [14, 21]]), r"episodes 0 \[10, 14\] and 1 \[14, 21\] overlap"),
        (np.array([[18, 21], [10, 19]]), r"episodes 1 \[10, 19\] and 0 \[18, 21\] overlap"),
    ],
)
def test_bad_episode_ids_are_named(ids: np.ndarray, message: str, make_split: MakeSplit) -> None:
    folder = make_split()
    np.save(folder / IDS, ids)
    with pytest.raises(CalvinFormatError, match=message) as caught:
        CalvinSplit(folder)
    assert IDS in str(caught.value)


def test_unsorted_episodes_keep_the_order_of_the_file(make_split: MakeSplit) -> None:
    folder = make_split()
    np.save(folder / IDS, np.array([[18, 21], [10, 14]]))
    np.testing.assert_array_equal(CalvinSplit(folder).frame_ids, [18, 19, 20, 21, 10, 11, 12, 13, 14])


def test_ids_that_point_nowhere_are_found(make_split: MakeSplit) -> None:
    folder = make_split(layouts=False)
    np.save(folder / IDS, np.array([[10, 16]]))
    np.testing.assert_array_equal(CalvinSplit(folder).missing_ids(), [15, 16])
    np.testing.assert_array_equal(CalvinSplit(folder).stray_ids(), [18, 19, 20, 21])


def test_folders_that_are_not_a_split(make_split: MakeSplit, tmp_path: Path) -> None:
    with pytest.raises(CalvinFormatError, match="is not a folder"):
        CalvinSplit(tmp_path / "absent")
    with pytest.raises(CalvinFormatError, match="give that one"):
        CalvinSplit(make_split().parent)
    folder = make_split("other")
    (folder / IDS).write_bytes((folder / IDS).read_bytes()[:30])
    with pytest.raises(CalvinFormatError, match="cannot read"):
        CalvinSplit(folder)


@pytest.mark.parametrize("rows", [np.zeros((3, 2)), np.array([[0.0, np.nan], [0.0, 0.0]])])
def test_bad_layouts_are_named(rows: np.ndarray, make_split: MakeSplit) -> None:
    folder = make_split()
    np.savez(folder / "layouts.npz", names=np.array(["a", "b"]), values=rows)
    with pytest.raises(CalvinFormatError, match=r"layouts\.npz"):
        CalvinSplit(folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Annotation("open_drawers", 10, 12, "x"), "annotation 1 has the unknown task 'open_drawers'"),
        (Annotation("open_drawer", 12, 19, "x"), "covers frames 12 to 19"),
        (Annotation("open_drawer", 13, 12, "x"), "covers frames 13 to 12"),
        (Annotation("open_drawer", 500, 512, "x"), "covers frames 500 to 512"),
    ],
)
def test_bad_annotations_are_named(row: Annotation, message: str, make_split: MakeSplit) -> None:
    good = Annotation("open_drawer", 10, 12, "x")
    split = CalvinSplit(make_split(annotations=[good, row]))
    with pytest.raises(CalvinFormatError, match=message):
        _ = split.annotations
    assert split.checked_annotations()[0] == [good]


@pytest.mark.parametrize("content", [b"", b"junk", "dict", "lengths"])
def test_unreadable_annotations(content: bytes | str, make_split: MakeSplit) -> None:
    folder = make_split()
    if isinstance(content, bytes):
        (folder / ANNOTATIONS).write_bytes(content)
    else:
        language = {} if content == "dict" else {"task": ["open_drawer"], "ann": []}
        np.save(folder / ANNOTATIONS, np.asarray({"language": language, "info": {"indx": []}}))
    with pytest.raises(CalvinFormatError, match=r"auto_lang_ann\.npy"):
        _ = CalvinSplit(folder).annotations


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), keep=st.booleans(), byte=st.integers(0, 255))
def test_a_damaged_file_is_refused_or_reads_as_a_frame(
    position: float, keep: bool, byte: int, make_split: MakeSplit, tmp_path: Path
) -> None:
    folder = tmp_path / "raw" / "training"
    if not folder.exists():
        make_split(lengths=(1,), static_size=4, gripper_size=4)
    data = bytearray((folder / frame_file_name(10)).read_bytes())
    place = int(position * len(data))
    if keep:
        data[place] = byte
    else:
        del data[place:]
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(data)
    try:
        assert isinstance(read_frame(damaged), Frame)
    except CalvinFormatError as error:
        assert "damaged.npz" in str(error)  # noqa: PT017


def test_a_missing_frame_is_named(make_split: MakeSplit) -> None:
    split = CalvinSplit(make_split())
    with pytest.raises(CalvinFormatError, match=r"episode_0000777\.npz: frame file is missing"):
        split.read_frame(777)


def test_an_npy_in_place_of_a_frame_is_refused(make_split: MakeSplit) -> None:
    folder = make_split()
    shutil.copy(folder / IDS, folder / frame_file_name(10))
    with pytest.raises(CalvinFormatError, match="cannot be read"):
        CalvinSplit(folder).read_frame(10)
