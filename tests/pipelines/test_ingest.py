"""What a user is told of a data set from which frames were left out."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wam.episodes.calvin_format import CalvinFormatError
from wam.episodes.calvin_frame import frame_file_name
from wam.episodes.ingest import IngestConfig
from wam.episodes.store import EpisodeStore
from wam.pipelines.ingest.nodes import pack_training, pack_validation, select_expert_segments, verify_episodes
from wam.pipelines.pages import ComputeConfig
from wam.tasks.selection import SelectionConfig


@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_left_out_is_said(
    make_split: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: bool
) -> None:
    folder = make_split("training")
    if damaged:
        (folder / frame_file_name(12)).write_bytes(b"")
    page = replace(IngestConfig(chunk_frames=4, shard_frames=8), quarantine=True)
    work = tmp_path / "work"
    work.mkdir()
    report, _ = pack_training(folder.parent, page, ComputeConfig(device="cpu", workers=1), work)
    assert len(report["quarantined_frames"]) == damaged
    said = (
        "training: 1 frames and annotations are left out, all listed in training_report; the first: frame 12"
    )
    assert (said in caplog.text) == damaged


SMALL = IngestConfig(chunk_frames=4, shard_frames=8)


def packed(folder: Path, work: Path, **settings: bool) -> EpisodeStore:
    work.mkdir()
    compute = ComputeConfig(device="cpu", workers=1)
    pack = {"training": pack_training, "validation": pack_validation}[folder.name]
    return EpisodeStore(pack(folder.parent, replace(SMALL, **settings), compute, work)[1])


def test_another_data_set_in_the_folders_place_is_noticed(
    make_split: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_split("training")
    stores = packed(folder, tmp_path / "work"), packed(make_split("validation"), tmp_path / "other")
    assert not faults(folder.parent, stores)
    shutil.rmtree(folder)
    make_split("training", lengths=(30, 30))
    assert "the folder has 60 frames, the store" in faults(folder.parent, stores)[0]


def faults(raw: Path, stores: tuple[EpisodeStore, EpisodeStore]) -> list[str]:
    return [fault for split in verify_episodes(raw, *stores).values() for fault in split["store"]["faults"]]


def test_frames_that_were_left_out_are_no_fault(make_split: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_split("training")
    (folder / frame_file_name(12)).write_bytes(b"")
    store = packed(folder, tmp_path / "work", quarantine=True)
    other = packed(make_split("validation"), tmp_path / "other")
    assert not faults(folder.parent, (store, other))


def test_without_annotations_frames_are_packed_and_selection_says_what_is_missing(
    make_split: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_split("training")
    store = packed(folder, tmp_path / "work", require_annotations=False)
    for file in folder.rglob("auto_lang_ann.npy"):
        file.unlink()
    with pytest.raises(CalvinFormatError, match=r"no demonstrations and starts.*require_annotations"):
        select_expert_segments(folder.parent, store, store, SelectionConfig())
