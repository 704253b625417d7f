"""Which published data set a folder is, and the known defects of its downloads.

Counts and ranges are those of the public data sets. A defect that changes nothing here is told all the same,
so that nobody has to find it a second time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from wam.episodes.calvin_format import (
    ANNOTATIONS_FILE,
    EPISODE_LENGTHS_FILE,
    SCENE,
    SCENE_INFO_FILE,
    Annotation,
    CalvinFormatError,
    CalvinSplit,
)
from wam.episodes.calvin_frame import READ_ERRORS
from wam.episodes.pickled import PICKLE_ERRORS, load_pickled

KNOWN_FRAMES: Final = {
    ("training", 512_077): "task_D_D",
    ("validation", 99_022): "validation of task_D_D, task_ABC_D and task_ABCD_D",
    ("training", 1_795_045): "task_ABC_D",
    ("training", 2_307_126): "task_ABCD_D",
    ("training", 2_771): "calvin_debug_dataset",
    ("validation", 1_675): "calvin_debug_dataset",
}
"""Published data sets by name of the split and number of frames."""
_D_RANGE: Final = (0, 611_098)
"""Frame ids of scene D, training and validation together."""


@dataclass(frozen=True)
class FolderReport:
    """What can be said of a split folder without opening its frames.

    Attributes:
        data_set: Published data set with as many frames, empty if there is none.
        frames: Frame ids inside episodes.
        episodes: Episodes.
        missing: Frames inside episodes without a file.
        stray: Files outside every episode; they are left out.
        segments: Annotated task segments, usable ones.
        defects: One message per known defect.
    """

    data_set: str
    frames: int
    episodes: int
    missing: int
    stray: int
    segments: int
    defects: list[str]


def inspect_folder(split: CalvinSplit) -> FolderReport:
    """List the folder and compare it with what is known of the published data sets.

    Raises:
        CalvinFormatError: If annotations or scenes are there and cannot be read.
    """
    frames = len(split.frame_ids)
    good, bad = _segments(split)
    missing, stray = len(split.missing_ids()), len(split.stray_ids())
    defects = [*_scene_defects(split), *_length_defects(split), *bad]
    if missing:
        defects.append(
            f"{missing} of {frames} frame files do not exist: the download or its unpacking is incomplete"
        )
    if stray:
        defects.append(
            f"{stray} frame files belong to no episode, as known of larger sets; they are left out"
        )
    if good and split.annotations_file != split.folder / ANNOTATIONS_FILE:
        defects.append(f"no lang_annotations; segments are read from {split.annotations_file.parent.name}")
    known = KNOWN_FRAMES.get((split.folder.name, frames), "")
    return FolderReport(known, frames, len(split.episodes), missing, stray, len(good), defects)


def _segments(split: CalvinSplit) -> tuple[list[Annotation], list[str]]:
    if split.annotations_file.is_file():
        return split.checked_annotations()
    return [], ["no task segments: neither lang_annotations nor a lang_<model> folder is there"]


def load_scenes(folder: Path) -> dict[str, tuple[int, int]]:
    """First and last frame id of each scene by name, of both splits together; empty without the file.

    Args:
        folder: Split folder; only training has the file.

    Raises:
        CalvinFormatError: If ``scene_info.npy`` cannot be read.
    """
    file = folder / SCENE_INFO_FILE
    if not file.is_file():
        return {}
    try:
        found = load_pickled(file)
        return {str(name): (int(first), int(last)) for name, (first, last) in found.items()}
    except PICKLE_ERRORS as error:
        raise CalvinFormatError(
            f"cannot read {file} ({type(error).__name__}: {error}); expected a dict of scene name to first "
            "and last frame id: copy it again, or remove it, for nothing depends on it"
        ) from error


def _scene_defects(split: CalvinSplit) -> list[str]:
    """Early downloads of scene D say scene A (corrected in February 2023)."""
    scenes = load_scenes(split.folder)
    if not scenes:
        return []
    if scenes == {"calvin_scene_A": _D_RANGE}:
        return [
            "scene_info.npy says calvin_scene_A, but these are the frames of scene D: a download from "
            "before 24 February 2023. Nothing here reads it; correct it for other programs"
        ]
    others = sorted(set(scenes) - {SCENE})
    if others:
        return [
            f"scene_info.npy names {', '.join(others)}: furniture, colours and order of blocks differ from "
            f"{SCENE}, which the simulator has; features can be learned, success cannot be judged"
        ]
    first, last = scenes[SCENE]
    if split.episodes.min() < first or split.episodes.max() > last:
        return [
            f"scene_info.npy says {SCENE} has frames {first} to {last}, but episodes run from "
            f"{split.episodes.min()} to {split.episodes.max()}"
        ]
    return []


def _length_defects(split: CalvinSplit) -> list[str]:
    file = split.folder / EPISODE_LENGTHS_FILE
    if not file.is_file():
        return [f"{file.name} is missing; it is not needed"]
    try:
        lengths = np.load(file, allow_pickle=False)
    except READ_ERRORS as error:
        return [f"{file.name} cannot be read ({error}); it is not needed"]
    expected = split.episodes[:, 1] - split.episodes[:, 0] + 1
    if np.array_equal(lengths, expected) or np.array_equal(lengths, expected - 1):
        return []
    return [f"{file.name} does not fit the ids of the episodes; the ids are used"]
