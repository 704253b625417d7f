"""What a user is told of a data set from which frames were left out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wam.episodes.calvin_frame import frame_file_name
from wam.episodes.ingest import IngestConfig
from wam.pipelines.ingest.nodes import pack_training
from wam.pipelines.pages import ComputeConfig


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
    _, report = pack_training(folder.parent, page, ComputeConfig(device="cpu", workers=1), work)
    assert len(report["quarantined_frames"]) == damaged
    said = (
        "training: 1 frames and annotations are left out, all listed in training_report; the first: frame 12"
    )
    assert (said in caplog.text) == damaged
