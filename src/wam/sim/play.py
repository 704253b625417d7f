"""Play data: many episodes of scripted play, written as a CALVIN data set.

The target folder is worked on in place. A finished episode leaves its frames in the split's folder and then,
as the last and atomic step, a record under ``.play/``; a killed collection goes on behind the last record.
When all episodes are there, the files that describe the splits are written, then ``play_report.json``, and
``.play/`` is removed.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from wam.contracts import config_to_dict
from wam.parallel.map import map_pieces
from wam.sim.config import SimConfig
from wam.sim.play_agenda import SHORT, TRAINING, VALIDATION
from wam.sim.play_config import PlayConfig
from wam.sim.play_records import (
    WORK_FOLDER,
    PlayedEpisode,
    PlayPiece,
    describe_split,
    load_record,
    record_piece,
)
from wam.tasks.selection import is_selection_episode
from wam.tasks.table import TASK_NAMES

__all__ = ["PlayConfig", "PlayReport", "collect_play"]

SETTINGS_FILE: Final = "settings.json"
REPORT_FILE: Final = "play_report.json"


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
        seconds: Wall time of this call, without what an earlier, killed call had recorded. It is not kept in
            the folder: the same play made twice is the same bytes.
    """

    training_episodes: int
    training_frames: int
    validation_episodes: int
    validation_frames: int
    segments: dict[str, dict[str, int]]
    tries: int
    misses: int
    frames_per_segment: float
    seconds: float = 0.0


def collect_play(target: Path, sim: SimConfig, config: PlayConfig) -> PlayReport:
    """Record play until every task has the segments asked for, and write it as CALVIN data.

    Args:
        target: Folder to make; becomes the data set's root with ``training/`` and ``validation/``. What a
            killed call with the same settings left there is continued; with other settings it is discarded.
            A collection that is finished already is returned as it is.
        sim: The simulator, its image sizes included.
        config: How much, and how.

    Returns:
        Counts and rates.

    Raises:
        FileExistsError: The folder holds something else, or a finished collection with other settings.
        RuntimeError: A task does not get its segments within ``max_episodes``.
    """
    began = time.monotonic()
    settings = {"sim": config_to_dict(sim), "play": config_to_dict(replace(config, workers=1))}
    finished = _prepare(target, settings)
    if finished is not None:
        return finished
    training = _collect_split(target, sim, config, TRAINING, 0)
    training += _collect_short(target, sim, config, _next_id(training))
    validation = _collect_split(target, sim, config, VALIDATION, _next_id(training))
    for split, episodes in ((TRAINING, training), (VALIDATION, validation)):
        describe_split(target / split, split, episodes, sim, config)
    report = _report(training, validation)
    kept = {name: value for name, value in asdict(report).items() if name != "seconds"}
    _write_json(target / REPORT_FILE, {"settings": settings, "report": kept})
    shutil.rmtree(target / WORK_FOLDER)
    return replace(report, seconds=time.monotonic() - began)


def _prepare(target: Path, settings: dict[str, Any]) -> PlayReport | None:
    """Make the work folder or check the one that is there; the report if everything is finished already."""
    started, finished = target / WORK_FOLDER / SETTINGS_FILE, target / REPORT_FILE
    if finished.exists():
        content = json.loads(finished.read_text())
        if content["settings"] != settings:
            raise FileExistsError(f"{target} holds finished play of other settings; name a new folder")
        shutil.rmtree(target / WORK_FOLDER, ignore_errors=True)
        return PlayReport(**content["report"])
    if started.exists() and json.loads(started.read_text()) == settings:
        return None
    if started.exists():
        shutil.rmtree(target)
    elif target.exists() and any(path.name != WORK_FOLDER for path in target.iterdir()):
        raise FileExistsError(f"{target} is not empty and no unfinished play collection; name a new folder")
    started.parent.mkdir(parents=True, exist_ok=True)
    _write_json(started, settings)
    return None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    os.replace(partial, path)


def _collect_split(
    target: Path, sim: SimConfig, config: PlayConfig, split: str, first_id: int
) -> list[PlayedEpisode]:
    """Record the fewest episodes, then round by round until the counts are reached."""
    fewest = config.training_episodes if split == TRAINING else config.validation_episodes
    episodes: list[PlayedEpisode] = []
    goal = fewest
    while len(episodes) < fewest or _missing(episodes, config, split):
        if len(episodes) >= config.max_episodes:
            raise RuntimeError(
                f"{split}: after {len(episodes)} episodes (max_episodes) still missing segments: "
                f"{_missing(episodes, config, split)}; raise max_episodes or ask for fewer segments"
            )
        pieces = [
            PlayPiece(target.absolute(), sim, config, split, index, first_id + index * config.episode_frames)
            for index in range(len(episodes), min(goal, config.max_episodes))
        ]
        episodes += _record(pieces)
        goal = len(episodes) + config.round_episodes
    return episodes


def _collect_short(target: Path, sim: SimConfig, config: PlayConfig, first_id: int) -> list[PlayedEpisode]:
    """Record the short training episodes."""
    frames = config.short_episode_frames
    return _record(
        [
            PlayPiece(target.absolute(), sim, config, SHORT, index, first_id + index * frames)
            for index in range(config.short_episodes)
        ]
    )


def _record(pieces: Sequence[PlayPiece]) -> list[PlayedEpisode]:
    """Record those that are not there yet."""
    todo = [piece for piece in pieces if not piece.record.exists()]
    if todo:
        description, workers = f"play, {todo[0].split}", todo[0].config.workers
        for _ in map_pieces(record_piece, todo, workers=workers, description=description, unit="episode"):
            pass
    return [load_record(piece) for piece in pieces]


def _next_id(episodes: Sequence[PlayedEpisode]) -> int:
    """Frame id behind the last episode."""
    return episodes[-1].first_id + len(episodes[-1].robot_obs)


def _missing(episodes: Sequence[PlayedEpisode], config: PlayConfig, split: str) -> dict[str, int]:
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


def _count(episodes: Sequence[PlayedEpisode], split: str) -> dict[str, dict[str, int]]:
    counters: dict[str, Counter[int]] = {use: Counter() for use in ("training", "test", "selection")}
    for index, episode in enumerate(episodes):
        held_out = "selection" if is_selection_episode(index) else "test"
        counters[TRAINING if split == TRAINING else held_out].update(episode.segments[:, 2].tolist())
    return {use: {task: counter[i] for i, task in enumerate(TASK_NAMES)} for use, counter in counters.items()}


def _report(training: Sequence[PlayedEpisode], validation: Sequence[PlayedEpisode]) -> PlayReport:
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
    )
