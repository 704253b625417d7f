"""What single catalog types do beyond the contract."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError, Version

from wam.datasets import (
    ArrayBlocks,
    ArraysDataset,
    DirectoryDataset,
    EpisodesDataset,
    FilesDataset,
    JsonDataset,
    LineageDataset,
    TableDataset,
    WorkDirDataset,
    artefact,
)
from wam.episodes.calvin_format import EPISODE_IDS_FILE
from wam.episodes.store import EpisodeStore


def save_arrays(folder: Path, data: Any) -> ArraysDataset:
    dataset = ArraysDataset(filepath=folder / "arrays", version=Version(None, "v1"))
    dataset.save(data)
    return dataset


def test_blocks_are_joined_in_order(tmp_path: Path) -> None:
    blocks = ({"x": np.full((n, 2), n), "y": np.arange(n)} for n in (1, 3))
    arrays = save_arrays(tmp_path, ArrayBlocks(blocks)).load()
    assert arrays["x"][:, 0].tolist() == [1, 3, 3, 3]
    assert arrays["y"].tolist() == [0, 0, 1, 2]


def test_blocks_with_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="a block has the arrays"):
        save_arrays(tmp_path, ArrayBlocks([{"x": np.zeros(1)}, {"z": np.zeros(1)}]))


def test_rows_where_reads_the_rows_asked_for(tmp_path: Path) -> None:
    arrays = save_arrays(tmp_path, {"task": np.array([0, 1, 1, 2, 1]), "v": np.arange(5.0)}).load()
    assert arrays.rows_where("task", [1])["v"].tolist() == [1.0, 2.0, 4.0]
    with pytest.raises(ValueError, match="no row has task"):
        arrays.rows_where("task", [7])


def test_arrays_preview_lists_shapes(tmp_path: Path) -> None:
    preview = save_arrays(tmp_path, {"x": np.zeros((4, 2))}).preview()
    assert preview["data"] == [["x", "(4, 2)", "float64"]]


def test_table_preview_is_short(tmp_path: Path) -> None:
    dataset = TableDataset(filepath=tmp_path / "table", version=Version(None, "v1"))
    dataset.save(pd.DataFrame({"x": range(100), "name": ["n" * 100] * 100}))
    preview = dataset.preview(nrows=3)
    assert len(preview["data"]) == 3
    assert len(preview["data"][0][1]) == 60


def test_json_refuses_nan(tmp_path: Path) -> None:
    dataset = JsonDataset(filepath=tmp_path / "values.json", version=Version(None, "v1"))
    with pytest.raises(DatasetError, match="not JSON compliant"):
        dataset.save({"x": float("nan")})


def test_file_names_stay_inside_the_folder(tmp_path: Path) -> None:
    dataset = FilesDataset(filepath=tmp_path / "files", version=Version(None, "v1"))
    with pytest.raises(DatasetError, match="not a plain file name"):
        dataset.save({"../a.png": b""})


def test_named_files_say_what_there_is(tmp_path: Path) -> None:
    dataset = FilesDataset(filepath=tmp_path / "files", version=Version(None, "v1"))
    dataset.save({"a.png": b"1"})
    with pytest.raises(KeyError, match=r"b\.png is not in"):
        dataset.load()["b.png"]


def test_episodes_move_into_place(tmp_path: Path, make_store: Callable[..., EpisodeStore]) -> None:
    store = make_store()
    digest = store.digest
    dataset = EpisodesDataset(filepath=tmp_path / "episodes.zarr", version=Version(None, "v1"))
    dataset.save(store.path)
    assert dataset.load().digest == digest
    assert not store.path.exists()


def test_work_dir_is_made_and_not_written(tmp_path: Path) -> None:
    dataset = WorkDirDataset(filepath=tmp_path / "work")
    assert dataset.load().is_dir()
    with pytest.raises(DatasetError, match="scratch folder"):
        dataset.save("x")  # type: ignore[arg-type]


def test_lineage_is_empty_outside_a_run() -> None:
    assert LineageDataset().load() == {}
    with pytest.raises(DatasetError, match="cannot be saved"):
        LineageDataset().save({})  # type: ignore[arg-type]


def calvin_folder(folder: Path, last: int) -> DirectoryDataset:
    """A folder of the user's with two splits, of which only the ids of their frames are read."""
    for split in ("training", "validation"):
        (folder / split).mkdir(parents=True)
        np.save(folder / split / EPISODE_IDS_FILE, np.array([[0, last]]))
    return DirectoryDataset(filepath=folder)


def test_a_data_set_of_the_users_is_known_by_its_frames_and_not_by_its_place(tmp_path: Path) -> None:
    first, copy, other = (
        calvin_folder(tmp_path / name, last) for name, last in (("a", 9), ("b", 9), ("c", 8))
    )
    assert first.record() == copy.record() != other.record()
    assert first.record()["digest"]
    (tmp_path / "plain").mkdir()
    assert DirectoryDataset(filepath=tmp_path / "plain").record() == {}
    assert DirectoryDataset(filepath=tmp_path / "nowhere").record() == {}


def test_a_kill_while_a_folder_is_read_leaves_it_where_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "work/made"
    made.mkdir(parents=True)
    dataset = DirectoryDataset(filepath=tmp_path / "kept", version=Version(None, "v1"))
    seen = []

    def digest(path: Path) -> str:
        seen.append(path)
        return "digest"

    monkeypatch.setattr(dataset, "_digest", digest)
    dataset.save(made)
    assert seen == [made]
    assert not made.exists()
    assert dataset.record()["digest"] == "digest"


def test_what_cannot_be_moved_back_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "work/made"
    made.mkdir(parents=True)
    (made / "hours.txt").write_text("of work")
    dataset = DirectoryDataset(filepath=tmp_path / "kept", version=Version(None, "v1"))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("wam.datasets.artefact.os.replace", fail)
    monkeypatch.setattr(dataset, "_give_back", fail)
    with pytest.raises(DatasetError, match="disk full"):
        dataset.save(made)
    assert [path.read_text() for path in tmp_path.rglob("hours.txt")] == ["of work"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Kedro makes of a missing file that a file is in the way."""
    dataset = DirectoryDataset(filepath=tmp_path / "kept", version=Version(None, "v1"))
    with pytest.raises(DatasetError, match="nowhere is not a directory, so there is nothing to keep"):
        dataset.save(tmp_path / "nowhere")


def test_a_missing_file_is_not_said_to_be_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = JsonDataset(filepath=tmp_path / "kept", version=Version(None, "v1"))

    def fail(*_: object) -> None:
        raise FileNotFoundError("it was removed meanwhile")

    monkeypatch.setattr(dataset, "_write", fail)
    with pytest.raises(DatasetError, match="it was removed meanwhile") as told:
        dataset.save({})
    assert "versioning" not in str(told.value)


@pytest.fixture
def two_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of results that lies on another disk than the one where work is done."""
    rename = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(source).name in ("made", "kept") and Path(target).name in ("made", "kept"):
            raise OSError("Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr("wam.datasets.artefact.os.replace", replace)


def finished(tmp_path: Path) -> Path:
    made = tmp_path / "work/made"
    (made / "deep").mkdir(parents=True)
    (made / "deep/a.txt").write_text("hours")
    (made / "b.txt").write_text("of work")
    return made


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.mark.usefixtures("two_disks")
def test_a_folder_moves_to_another_disk(tmp_path: Path) -> None:
    made = finished(tmp_path)
    dataset = DirectoryDataset(filepath=tmp_path / "kept", version=Version(None, "v1"))
    dataset.save(made)
    assert not made.exists()
    assert contents(dataset.load()) == {"deep/a.txt": "hours", "b.txt": "of work"}


@pytest.mark.usefixtures("two_disks")
def test_a_copy_to_another_disk_that_fails_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = finished(tmp_path)
    dataset = DirectoryDataset(filepath=tmp_path / "kept", version=Version(None, "v1"))

    def fill_the_disk(source: Path, target: Path, **_: Any) -> None:
        target.mkdir()
        shutil.copy2(source / "b.txt", target / "b.txt")
        raise OSError("disk full")

    monkeypatch.setattr("wam.datasets.artefact.shutil.copytree", fill_the_disk)
    with pytest.raises(DatasetError, match="disk full"):
        dataset.save(made)
    assert contents(made) == {"deep/a.txt": "hours", "b.txt": "of work"}
    assert not dataset.exists()


@pytest.mark.usefixtures("two_disks")
def test_nor_does_an_interruption_behind_a_whole_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = finished(tmp_path)
    dataset = DirectoryDataset(filepath=tmp_path / "kept", version=Version(None, "v1"))
    remove = artefact._remove

    def half_remove(path: Path) -> None:
        if path != made:
            return remove(path)
        (made / "b.txt").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(artefact, "_remove", half_remove)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(made)
    assert contents(made) == {"deep/a.txt": "hours", "b.txt": "of work"}
    assert not dataset.exists()
