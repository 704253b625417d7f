"""Episodes of play on disk: frames in CALVIN's format, and a record that outlives a killed collection."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import config_to_dict
from wam.episodes.calvin_format import Annotation
from wam.episodes.calvin_writer import SplitWriter
from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.layout import LAYOUT_FIELDS
from wam.sim.play_agenda import SHORT, TRAINING
from wam.sim.play_config import PlayConfig
from wam.sim.play_episode import Recording, record_episode
from wam.tasks.segments import find_segments
from wam.tasks.table import TASK_NAMES, TASKS

WORK_FOLDER: Final = ".play"
PARTIAL: Final = ".partial.npz"


@dataclass(frozen=True)
class PlayPiece:
    """One episode to record: where, and everything it depends on; ``split`` may be ``SHORT``."""

    target: Path
    sim: SimConfig
    config: PlayConfig
    split: str
    index: int
    first_id: int

    def __repr__(self) -> str:
        return f"{self.split} episode {self.index}"

    @property
    def folder(self) -> Path:
        """Where its frames go: the folder of its split."""
        return self.target / (TRAINING if self.split == SHORT else self.split)

    @property
    def record(self) -> Path:
        """File of the episode's record; it is there once the episode is finished."""
        return self.target / WORK_FOLDER / f"{self.split}_{self.index:05d}.npz"


@dataclass(frozen=True)
class PlayedEpisode:
    """What is remembered of a finished episode besides its frames."""

    first_id: int
    robot_obs: NDArray[np.float64]
    scene_obs: NDArray[np.float64]
    layout: NDArray[np.float64]
    segments: NDArray[np.int64]
    tries: int
    misses: int


def record_piece(piece: PlayPiece) -> None:
    """Record an episode, write its frames, and last its record."""
    recording = record_episode(piece.sim, piece.config, piece.split, piece.index)
    names = LAYOUT_FIELDS if len(recording.layout) else ()
    SplitWriter(piece.folder, names).write_episode(
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


def _segments(piece: PlayPiece, recording: Recording) -> NDArray[np.int64]:
    """(S, 3) first row, last row (inclusive), task index of the accepted segments."""
    rng = numpy_generator(piece.config.seed, "segments", piece.split, piece.index)
    found = find_segments(recording.scene_obs[:-1], rng, margin_frames=piece.config.margin_frames)
    rows = [(segment.start, segment.end, TASK_NAMES.index(segment.task)) for segment in found]
    return np.array(rows, np.int64).reshape(-1, 3)


def load_record(piece: PlayPiece) -> PlayedEpisode:
    """What the record of a finished episode holds."""
    with np.load(piece.record) as values:
        return PlayedEpisode(
            first_id=int(values["first_id"]),
            robot_obs=values["robot_obs"],
            scene_obs=values["scene_obs"],
            layout=values["layout"],
            segments=values["segments"],
            tries=int(values["tries"]),
            misses=int(values["misses"]),
        )


def describe_split(
    folder: Path, split: str, episodes: Sequence[PlayedEpisode], sim: SimConfig, config: PlayConfig
) -> None:
    """Write the files that describe a whole split of finished episodes."""
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
    frames = np.array([len(episode.robot_obs) for episode in episodes])
    layouts = np.array([episode.layout for episode in episodes])
    has_layouts = layouts.shape[1] > 0
    SplitWriter(folder, LAYOUT_FIELDS if has_layouts else ()).finish(
        episodes=np.stack([first, first + frames - 1], axis=1),
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
