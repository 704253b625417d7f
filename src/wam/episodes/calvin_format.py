"""Reading a CALVIN split; only this file, that of a frame and the writer know CALVIN's keys and names.

A split folder (``training`` or ``validation``) holds one compressed npz per frame, ``episode_0000123.npz``,
and::

    ep_start_end_ids.npy               (E, 2) frame ids, both ends inclusive
    lang_annotations/auto_lang_ann.npy task segments, a pickled dict; later also in lang_<model>/
    scene_info.npy                     scene name to first and last frame id, a pickled dict; optional
    layouts.npz                        ours only: furniture layout of each episode

Everything that can be checked without opening the frames is checked when a :class:`CalvinSplit` is made.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wam.episodes.calvin_frame import READ_ERRORS, CalvinFormatError, Frame, frame_file_name, read_frame
from wam.episodes.pickled import PICKLE_ERRORS, load_pickled

__all__ = [
    "CALVIN_TASKS",
    "EPISODE_IDS_FILE",
    "Annotation",
    "CalvinFormatError",
    "CalvinSplit",
    "Frame",
    "frame_file_name",
    "load_layouts",
    "read_frame",
]

EPISODE_IDS_FILE: Final = "ep_start_end_ids.npy"
EPISODE_LENGTHS_FILE: Final = "ep_lens.npy"
SCENE_INFO_FILE: Final = "scene_info.npy"
STATISTICS_FILE: Final = "statistics.yaml"
LAYOUTS_FILE: Final = "layouts.npz"
ANNOTATIONS_FILE: Final = "lang_annotations/auto_lang_ann.npy"
EMBEDDINGS_FILE: Final = "lang_annotations/embeddings.npy"
MERGED_CONFIG_FILE: Final = ".hydra/merged_config.yaml"
SCENE: Final = "calvin_scene_D"
"""The only scene whose block order and furniture the simulator of this project has."""
_BLOCKS: Final = ("red", "blue", "pink")
CALVIN_TASKS: Final = frozenset(
    [
        *(
            f"{verb}_{color}_block_{side}"
            for verb in ("rotate", "push")
            for color in _BLOCKS
            for side in ("left", "right")
        ),
        *(f"lift_{color}_block_{place}" for color in _BLOCKS for place in ("table", "slider", "drawer")),
        *("place_in_slider", "place_in_drawer", "push_into_drawer", "stack_block", "unstack_block"),
        *("open_drawer", "close_drawer", "move_slider_left", "move_slider_right"),
        *("turn_on_lightbulb", "turn_off_lightbulb", "turn_on_led", "turn_off_led"),
    ]
)
"""CALVIN's 34 task ids."""


@dataclass(frozen=True)
class Annotation:
    """One language-annotated task segment.

    Attributes:
        task: CALVIN task id.
        start: First frame id.
        end: Last frame id, inclusive.
        sentence: The instruction.
    """

    task: str
    start: int
    end: int
    sentence: str


def load_layouts(file: Path, episodes: int) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read ``layouts.npz``.

    Args:
        file: The file.
        episodes: Number of episodes it must describe.

    Returns:
        Names of the ``L`` layout values and the values ``(E, L)``.

    Raises:
        CalvinFormatError: If it cannot be read, has another number of episodes or values that are not finite.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            names, values = tuple(str(name) for name in data["names"]), np.asarray(data["values"], np.float64)
    except READ_ERRORS as error:
        raise CalvinFormatError(f"cannot read {file}: {error}; make the play data again") from error
    if values.shape != (episodes, len(names)):
        raise CalvinFormatError(
            f"{file}: values have shape {values.shape}, expected {(episodes, len(names))} (episodes, names); "
            "the file belongs to another recording"
        )
    if not np.isfinite(values).all():
        raise CalvinFormatError(
            f"{file}: layout of episode {int(np.argwhere(~np.isfinite(values))[0][0])} is not finite"
        )
    return names, values


class CalvinSplit:
    """One split folder in CALVIN's format, checked when made; frames are read on request.

    Attributes:
        folder: The folder.
        episodes: ``(E, 2)`` int64, first and last frame id of each episode, both inclusive.
        layout_names: Names of the layout values, empty if the folder has no layouts.
        layouts: ``(E, L)`` float64 furniture layout of each episode, or None (as in a real download).

    Raises:
        CalvinFormatError: If the folder is not a CALVIN split, or its episode ids or layouts are unusable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.episodes = _load_episode_ids(self.folder)
        layouts = self.folder / LAYOUTS_FILE
        self.layout_names: tuple[str, ...] = ()
        self.layouts: NDArray[np.float64] | None = None
        if layouts.is_file():
            self.layout_names, self.layouts = load_layouts(layouts, len(self.episodes))

    def frame_path(self, frame_id: int) -> Path:
        """Path of a frame's npz."""
        return self.folder / frame_file_name(frame_id)

    def read_frame(self, frame_id: int) -> Frame:
        """Read and check one frame; see :func:`read_frame`."""
        return read_frame(self.frame_path(frame_id))

    @cached_property
    def present_ids(self) -> NDArray[np.int64]:
        """Ids of the frame files in the folder, sorted, from one directory listing."""
        length = len(frame_file_name(0))
        with os.scandir(self.folder) as entries:
            ids = np.fromiter(
                (
                    int(entry.name[8:-4])
                    for entry in entries
                    if len(entry.name) == length
                    and entry.name.startswith("episode_")
                    and entry.name[8:-4].isdigit()
                ),
                dtype=np.int64,
            )
        ids.sort()
        return ids

    @cached_property
    def frame_ids(self) -> NDArray[np.int64]:
        """Every frame id of every episode, in the order of the episodes."""
        return np.concatenate([np.arange(first, last + 1) for first, last in self.episodes])

    def missing_ids(self) -> NDArray[np.int64]:
        """Frame ids of the episodes that have no file, sorted."""
        return np.setdiff1d(self.frame_ids, self.present_ids)

    def stray_ids(self) -> NDArray[np.int64]:
        """Frame files outside every episode, sorted; CALVIN has a few, they are left out."""
        return np.setdiff1d(self.present_ids, self.frame_ids)

    @property
    def annotations_file(self) -> Path:
        """The file with the task segments: in ``lang_annotations``, or in a later ``lang_<model>`` folder.

        The later folders hold the same segments with other sentence embeddings, which nobody reads here.
        """
        original = self.folder / ANNOTATIONS_FILE
        later = sorted(self.folder.glob(f"lang_*/{original.name}"))
        return later[0] if later and not original.is_file() else original

    @cached_property
    def annotations(self) -> list[Annotation]:
        """Task segments in the order of the file, all 34 tasks.

        Raises:
            CalvinFormatError: If there is no annotation file, it cannot be read, names an unknown task, or a
                range does not lie within one episode.
        """
        good, bad = self.checked_annotations()
        if bad:
            raise CalvinFormatError(
                f"{bad[0]}" + (f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else "")
            )
        return good

    def checked_annotations(self) -> tuple[list[Annotation], list[str]]:
        """Usable annotations and one message for each unusable one."""
        file = self.annotations_file
        rows = _load_annotations(file)
        good, bad = [], []
        for index, row in enumerate(rows):
            fault = self._annotation_fault(row)
            if fault:
                bad.append(f"{file}: annotation {index} {fault}")
            else:
                good.append(row)
        return good, bad

    def _annotation_fault(self, row: Annotation) -> str:
        if row.task not in CALVIN_TASKS:
            return f"has the unknown task {row.task!r}, which is none of CALVIN's 34: correct or remove it"
        inside = (
            (self.episodes[:, 0] <= row.start) & (row.end <= self.episodes[:, 1]) & (row.start <= row.end)
        )
        if not inside.any():
            return (
                f"({row.task}) covers frames {row.start} to {row.end}, which do not lie within one episode: "
                "correct or remove it"
            )
        return ""


def _load_episode_ids(folder: Path) -> NDArray[np.int64]:
    if not folder.is_dir():
        raise CalvinFormatError(
            f"{folder} is not a folder: a CALVIN data set has the folders training and validation, each with "
            f"{EPISODE_IDS_FILE} and one npz a frame; give its own folder, or download it again"
        )
    file = folder / EPISODE_IDS_FILE
    if not file.is_file():
        inner = " (it has a 'training' folder: give that one)" if (folder / "training").is_dir() else ""
        raise CalvinFormatError(
            f"{folder} is not a CALVIN split: it has no {EPISODE_IDS_FILE}{inner}; reduced copies of the "
            "data set are known to lack it: take it from the original download"
        )
    try:
        ids = np.load(file, allow_pickle=False)
    except READ_ERRORS as error:
        raise CalvinFormatError(f"cannot read {file}: {error}; copy it again from the data set") from error
    if ids.ndim != 2 or ids.shape[1] != 2 or len(ids) == 0 or ids.dtype.kind not in "iu":
        raise CalvinFormatError(
            f"{file}: has shape {ids.shape} and dtype {ids.dtype}, expected (E, 2) integers, first and last "
            "frame id of each episode: copy it again from the data set"
        )
    _check_ranges(file, ids.astype(np.int64))
    return np.asarray(ids, np.int64)


def _check_ranges(file: Path, ids: NDArray[np.int64]) -> None:
    wrong = np.flatnonzero((ids[:, 0] > ids[:, 1]) | (ids[:, 0] < 0))
    if len(wrong):
        first, last = ids[wrong[0]]
        raise CalvinFormatError(
            f"{file}: episode {wrong[0]} runs from frame {first} to {last}; expected 0 <= first <= last"
        )
    order = np.argsort(ids[:, 0], kind="stable")
    overlap = np.flatnonzero(ids[order][1:, 0] <= ids[order][:-1, 1])
    if len(overlap):
        one, two = order[overlap[0]], order[overlap[0] + 1]
        raise CalvinFormatError(
            f"{file}: episodes {one} {ids[one].tolist()} and {two} {ids[two].tolist()} overlap; "
            "both ends are inclusive: correct the ids or copy the file again"
        )


def _load_annotations(file: Path) -> list[Annotation]:
    if not file.is_file():
        raise CalvinFormatError(
            f"{file} is missing, and so is any lang_<model> folder beside it, so there are no task segments; "
            "copy it again, make play data again, or "
            "set require_annotations: false to pack frames only"
        )
    try:
        data = load_pickled(file)
        tasks, sentences = data["language"]["task"], data["language"]["ann"]
        ranges = [(int(start), int(end)) for start, end in data["info"]["indx"]]
    except PICKLE_ERRORS as error:
        raise CalvinFormatError(
            f"cannot read {file} ({type(error).__name__}: {error}); expected CALVIN's dict with "
            "language.task, language.ann and info.indx: copy it again"
        ) from error
    if not len(tasks) == len(sentences) == len(ranges):
        raise CalvinFormatError(
            f"{file}: {len(tasks)} tasks, {len(sentences)} sentences and {len(ranges)} ranges, which must be "
            "equally many: copy it again"
        )
    return [
        Annotation(task=str(task), start=start, end=end, sentence=str(sentence))
        for task, sentence, (start, end) in zip(tasks, sentences, ranges, strict=True)
    ]
