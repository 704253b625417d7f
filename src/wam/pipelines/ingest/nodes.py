"""Raw CALVIN folder to packed episodes, segments and starts."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from wam.episodes.calvin_defects import inspect_folder
from wam.episodes.calvin_format import Annotation, CalvinFormatError, CalvinSplit
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore, EpisodeStoreError
from wam.episodes.verify import verify_store
from wam.pipelines.pages import ComputeConfig
from wam.tasks.selection import SelectionConfig, select_experts, starts_table

logger = logging.getLogger(__name__)


def pack_training(
    raw_episodes: Path, config: IngestConfig, compute: ComputeConfig, work_dir: Path
) -> tuple[dict[str, Any], Path]:
    """Pack the training split; returns what was left out and the finished store, saved in this order."""
    return _pack(raw_episodes / "training", config, compute, work_dir)


def pack_validation(
    raw_episodes: Path, config: IngestConfig, compute: ComputeConfig, work_dir: Path
) -> tuple[dict[str, Any], Path]:
    """Pack the validation split; returns what was left out and the finished store, saved in this order."""
    return _pack(raw_episodes / "validation", config, compute, work_dir)


def _pack(
    split: Path, config: IngestConfig, compute: ComputeConfig, work_dir: Path
) -> tuple[dict[str, Any], Path]:
    for defect in inspect_folder(CalvinSplit(split)).defects:
        logger.warning("%s: %s", split.name, defect)
    target = work_dir / f"{split.name}.zarr"
    report = ingest_split(split, target, replace(config, workers=compute.processes))
    left_out = [f"frame {row['frame_id']}: {row['reason']}" for row in report.quarantined_frames]
    left_out += report.quarantined_annotations
    if left_out:
        logger.warning(
            "%s: %d frames and annotations are left out, all listed in %s_report; the first: %s",
            *(split.name, len(left_out), split.name, left_out[0]),
        )
    return asdict(report), target


def compute_proprio_statistics(
    training_episodes: EpisodeStore, validation_episodes: EpisodeStore
) -> dict[str, Any]:
    """Range of each proprio value over both splits, as published."""
    return ProprioStatistics.from_stores([training_episodes, validation_episodes]).to_dict()


def select_expert_segments(
    raw_episodes: Path,
    training_episodes: EpisodeStore,
    validation_episodes: EpisodeStore,
    config: SelectionConfig,
) -> pd.DataFrame:
    """Demonstrations from training, test and selection segments from disjoint validation episodes."""
    return select_experts(
        training_episodes.load(images=False),
        validation_episodes.load(images=False),
        _segments(raw_episodes / "training"),
        _segments(raw_episodes / "validation"),
        config,
    )


def _segments(split: Path) -> list[Annotation]:
    """Usable annotations; packing reported the others, or refused them without ``ingest.quarantine``."""
    folder = CalvinSplit(split)
    if not folder.annotations_file.is_file():
        raise CalvinFormatError(
            f"{folder.annotations_file} is missing, so there are no demonstrations and starts to choose: "
            "copy it again or make play data again. Frames are packed (ingest.require_annotations: false), "
            "which is enough for kedro run --pipelines world_model"
        )
    return folder.checked_annotations()[0]


def list_starts(expert_segments: pd.DataFrame, validation_episodes: EpisodeStore) -> pd.DataFrame:
    """The simulator's state at the first frame of every held-out segment."""
    return starts_table(expert_segments, validation_episodes.load(images=False))


def verify_episodes(
    raw_episodes: Path, training_episodes: EpisodeStore, validation_episodes: EpisodeStore
) -> dict[str, Any]:
    """Check the raw folders by their listing and the packed episodes frame by frame; print and return it."""
    found: dict[str, Any] = {}
    for split, store in (("training", training_episodes), ("validation", validation_episodes)):
        folder = asdict(inspect_folder(CalvinSplit(raw_episodes / split)))
        found[split] = {"folder": folder, "store": verify_store(store)}
        left_out = len(store.summary()["ingest"]["quarantined_frames"])
        if store.num_frames + left_out != folder["frames"]:
            found[split]["store"]["faults"].append(
                f"the folder has {folder['frames']} frames, the store {store.num_frames}, left out {left_out}"
            )
        logger.info("%s folder: %s", split, folder)
        logger.info("%s episodes: %s", split, found[split]["store"])
    return found


def refuse_faulty_episodes(verification: Mapping[str, Any]) -> None:
    """Fail when a store is not what it says, after the findings are saved."""
    faults = [
        f"{split}: {fault}" for split, found in verification.items() for fault in found["store"]["faults"]
    ]
    if faults:
        raise EpisodeStoreError("the packed episodes are faulty; run ingest again:\n  " + "\n  ".join(faults))
