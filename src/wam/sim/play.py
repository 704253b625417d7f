"""Play data: many episodes of scripted play, written as a CALVIN data set.

The target folder is worked on in place. A finished episode leaves its frames in the split's folder and then,
as the last and atomic step, a record under ``.play/``; a killed collection goes on behind the last record.
When all episodes are there, the files that describe the splits are written and ``.play/`` is removed.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import config_to_dict
from wam.episodes.calvin_format import Annotation
from wam.episodes.calvin_writer import SplitWriter
from wam.parallel.map import map_pieces
from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.layout import LAYOUT_FIELDS
from wam.sim.play_config import PlayConfig
from wam.sim.play_episode import TRAINING, VALIDATION, Recording, record_episode
from wam.tasks.segments import find_segments
from wam.tasks.selection import is_selection_episode
from wam.tasks.table import TASK_NAMES, TASKS

__all__ = ["PlayConfig", "PlayReport", "collect_play"]

WORK_FOLDER: Final = ".play"
SETTINGS_FILE: Final = "settings.json"
PARTIAL: Final = ".partial.npz"


@dataclass(frozen=True)
class PlayReport:
    """What was collected.

    Attributes:
        training_episodes: Episodes in the training split.
        training_frames: Frames in the training split.
        validation_episodes: Episodes in the validation split.
        validation_frames: Frames in the validation split.
        segments: Accepted segments by use ("training", "test", "selection") and task.
        tries: Attempts at tasks.
        misses: Attempts that failed and were left or tried again.
        frames_per_segment: Frames per accepted segment, over everything.
        seconds: Wall time of this call, without what an earlier, killed call had recorded.
    """

    training_episodes: int
    training_frames: int
    validation_episodes: int
    validation_frames: int
    segments: dict[str, dict[str, int]]
    tries: int
    misses: int
    frames_per_segment: float
    seconds: float


@dataclass(frozen=True)
class _Piece:
    """One episode to record: where, and everything it depends on."""

    target: Path
    sim: SimConfig
    config: PlayConfig
    split: str
    index: int
    first_id: int

    def __repr__(self) -> str:
        return f"{self.split} episode {self.index}"

    @property
    def record(self) -> Path:
        return self.target / WORK_FOLDER / f"{self.split}_{self.index:05d}.npz"


@dataclass(frozen=True)
class _Episode:
    """What is remembered of a finished episode besides its frames."""

    first_id: int
    robot_obs: NDArray[np.float64]
    scene_obs: NDArray[np.float64]
    layout: NDArray[np.float64]
    segments: NDArray[np.int64]
    tries: int
    misses: int


def collect_play(target: Path, sim: SimConfig, config: PlayConfig) -> PlayReport:
    """Record play until every task has the segments asked for, and write it as CALVIN data.

    Args:
        target: Folder to make; becomes the data set's root with ``training/`` and ``validation/``. What a
            killed call with the same settings left there is continued; with other settings it is discarded.
        sim: The simulator, its image sizes included.
        config: How much, and how.

    Returns:
        Counts and rates.

    Raises:
        FileExistsError: The folder holds something that is not an unfinished collection.
        RuntimeError: A task does not get its segments within ``max_episodes``.
    """
    began = time.monotonic()
    _prepare(target, sim, config)
    training = _collect_split(target, sim, config, TRAINING, 0)
    validation = _collect_split(target, sim, config, VALIDATION, len(training) * config.episode_frames)
    for split, episodes in ((TRAINING, training), (VALIDATION, validation)):
        _describe_split(target / split, split, episodes, sim, config)
    shutil.rmtree(target / WORK_FOLDER)
    return _report(training, validation, time.monotonic() - began)


def _prepare(target: Path, sim: SimConfig, config: PlayConfig) -> None:
    """Make the work folder, or check that the one there belongs to the same settings."""
    settings = target / WORK_FOLDER / SETTINGS_FILE
    pages = {"sim": config_to_dict(sim), "play": config_to_dict(replace(config, workers=1))}
    wanted = json.dumps(pages, indent=1, sort_keys=True)
    if settings.exists() and settings.read_text() == wanted:
        return
    if settings.exists():
        shutil.rmtree(target)
    elif target.exists() and any(target.iterdir()):
        raise FileExistsError(f"{target} is not empty and no unfinished play collection; name a new folder")
    settings.parent.mkdir(parents=True)
    partial = settings.with_suffix(".partial")
    partial.write_text(wanted)
    os.replace(partial, settings)


def _collect_split(
    target: Path, sim: SimConfig, config: PlayConfig, split: str, first_id: int
) -> list[_Episode]:
    """Record the fewest episodes, then round by round until the counts are reached."""
    fewest = config.training_episodes if split == TRAINING else config.validation_episodes
    episodes: list[_Episode] = []
    goal = fewest
    while len(episodes) < fewest or _missing(episodes, config, split):
        if len(episodes) >= config.max_episodes:
            raise RuntimeError(
                f"{split}: after {len(episodes)} episodes (max_episodes) still missing segments: "
                f"{_missing(episodes, config, split)}; raise max_episodes or ask for fewer segments"
            )
        pieces = [
            _Piece(target, sim, config, split, index, first_id + index * config.episode_frames)
            for index in range(len(episodes), min(goal, config.max_episodes))
        ]
        todo = [piece for piece in pieces if not piece.record.exists()]
        for _ in map_pieces(
            _record_piece, todo, workers=config.workers, description=f"play, {split}", unit="episode"
        ):
            pass
        episodes += [_load_record(piece) for piece in pieces]
        goal = len(episodes) + config.round_episodes
    return episodes


def _missing(episodes: Sequence[_Episode], config: PlayConfig, split: str) -> dict[str, int]:
    """Segments still missing, by use and task."""
    counts = _count(episodes, split)
    wanted = {"training": config.min_training_segments}
    if split == VALIDATION:
        wanted = {"test": config.test_starts, "selection": config.selection_starts}
    return {
        f"{use} {task}": number - counts[use][task]
        for use, number in wanted.items()
        for task in TASK_NAMES
        if counts[use][task] < number
    }


def _count(episodes: Sequence[_Episode], split: str) -> dict[str, dict[str, int]]:
    counters: dict[str, Counter[int]] = {use: Counter() for use in ("training", "test", "selection")}
    for index, episode in enumerate(episodes):
        held_out = "selection" if is_selection_episode(index) else "test"
        counters[TRAINING if split == TRAINING else held_out].update(episode.segments[:, 2].tolist())
    return {use: {task: counter[i] for i, task in enumerate(TASK_NAMES)} for use, counter in counters.items()}


def _record_piece(piece: _Piece) -> None:
    """Record an episode, write its frames, and last its record."""
    recording = record_episode(piece.sim, piece.config, piece.split, piece.index)
    names = LAYOUT_FIELDS if len(recording.layout) else ()
    SplitWriter(piece.target / piece.split, names).write_episode(
        piece.first_id,
        rgb_static=recording.rgb_static,
        rgb_gripper=recording.rgb_gripper,
        robot_obs=recording.robot_obs,
        scene_obs=recording.scene_obs,
    )
    partial = piece.record.with_suffix(PARTIAL)
    np.savez(
        partial,
        first_id=piece.first_id,
        robot_obs=recording.robot_obs[:-1],
        scene_obs=recording.scene_obs[:-1],
        layout=recording.layout,
        segments=_segments(piece, recording),
        tries=recording.tries,
        misses=recording.misses,
    )
    os.replace(partial, piece.record)


def _segments(piece: _Piece, recording: Recording) -> NDArray[np.int64]:
    """(S, 3) first row, last row (inclusive), task index of the accepted segments."""
    rng = numpy_generator(piece.config.seed, "segments", piece.split, piece.index)
    found = find_segments(recording.scene_obs[:-1], rng, margin_frames=piece.config.margin_frames)
    rows = [(segment.start, segment.end, TASK_NAMES.index(segment.task)) for segment in found]
    return np.array(rows, np.int64).reshape(-1, 3)


def _load_record(piece: _Piece) -> _Episode:
    with np.load(piece.record) as values:
        return _Episode(
            first_id=int(values["first_id"]),
            robot_obs=values["robot_obs"],
            scene_obs=values["scene_obs"],
            layout=values["layout"],
            segments=values["segments"],
            tries=int(values["tries"]),
            misses=int(values["misses"]),
        )


def _describe_split(
    folder: Path, split: str, episodes: Sequence[_Episode], sim: SimConfig, config: PlayConfig
) -> None:
    annotations = [
        Annotation(
            task=TASK_NAMES[index],
            start=episode.first_id + start,
            end=episode.first_id + end,
            sentence=TASKS[TASK_NAMES[index]].instruction,
        )
        for episode in episodes
        for start, end, index in episode.segments.tolist()
    ]
    first = np.array([episode.first_id for episode in episodes])
    layouts = np.array([episode.layout for episode in episodes])
    has_layouts = layouts.shape[1] > 0
    SplitWriter(folder, LAYOUT_FIELDS if has_layouts else ()).finish(
        episodes=np.stack([first, first + config.episode_frames - 1], axis=1),
        annotations=annotations,
        robot_obs=np.concatenate([episode.robot_obs for episode in episodes]),
        scene_obs=np.concatenate([episode.scene_obs for episode in episodes]),
        layouts=layouts if has_layouts else None,
        training=split == TRAINING,
        merged_config=_merged_config(sim, config),
    )


def _merged_config(sim: SimConfig, config: PlayConfig) -> Mapping[str, Any]:
    """The settings of the recording, where CALVIN keeps its own."""
    return {
        "seed": config.seed,
        "simulator": config_to_dict(sim),
        "play": config_to_dict(replace(config, workers=1)),
    }


def _report(training: Sequence[_Episode], validation: Sequence[_Episode], seconds: float) -> PlayReport:
    counts = _count(validation, VALIDATION) | {"training": _count(training, TRAINING)["training"]}
    frames = [sum(len(episode.robot_obs) for episode in split) for split in (training, validation)]
    everything = [*training, *validation]
    found = sum(len(episode.segments) for episode in everything)
    return PlayReport(
        training_episodes=len(training),
        training_frames=frames[0],
        validation_episodes=len(validation),
        validation_frames=frames[1],
        segments=counts,
        tries=sum(episode.tries for episode in everything),
        misses=sum(episode.misses for episode in everything),
        frames_per_segment=sum(frames) / max(1, found),
        seconds=seconds,
    )
