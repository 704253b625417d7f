"""A folder as CALVIN's task_D_D is downloaded: layout, keys, shapes, types and quirks, with made-up content.

Per frame the ten keys of the data set, 200x200 and 84x84 images, depth and tactile images; vectors in
float64. Frame ids run over both splits together, whose recordings take turns, validation first. A frame
beside the episodes belongs to none of them. Sentences come in ``lang_annotations`` and again in a later
``lang_<model>`` folder. Every episode does the eight tasks one after another, each in a segment whose last
frames bring the success.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from calvin_folder import make_robot_obs
from numpy.typing import NDArray

from wam.episodes.calvin_format import Annotation
from wam.episodes.calvin_frame import frame_file_name
from wam.episodes.calvin_writer import SplitWriter, relative_actions
from wam.sim.constants import ARM_REST
from wam.tasks.table import DRAWER, LED, LIGHTBULB, SLIDER, SWITCH, TASK_NAMES

LATER_FOLDER = "lang_all-MiniLM-L6-v2"
CHANGES = {
    "open_drawer": {DRAWER: 0.20},
    "close_drawer": {DRAWER: 0.0},
    "move_slider_left": {SLIDER: 0.28},
    "move_slider_right": {SLIDER: 0.0},
    "turn_on_lightbulb": {LIGHTBULB: 1.0, SWITCH: 0.088},
    "turn_off_lightbulb": {LIGHTBULB: 0.0, SWITCH: 0.0},
    "turn_on_led": {LED: 1.0},
    "turn_off_led": {LED: 0.0},
}
RECORDING = {
    "cameras": {name: {"name": name, "fov": fov} for name, fov in (("static", 10), ("gripper", 75))},
    "scene": {"name": "calvin_scene_D"},
    "robot": {"euler_obs": True},
    "env": {"_target_": "calvin_env.envs.play_table_env.PlayTableSimEnv", "seed": "${seed}", "use_egl": True},
    "seed": 0,
}
"""In ``.hydra``: how it was recorded, interpolations and targets unresolved."""
SUCCESS_FRAMES = 8
"""Frames at the end of a segment in which its task is solved."""


@dataclass(frozen=True)
class Download:
    """What to make.

    Attributes:
        training_episodes: Episodes of the training split.
        validation_episodes: Episodes of the validation split.
        segment_frames: Frames of each of the eight segments of an episode (34 to 65 in CALVIN).
        extras: Whether frames also hold depth and tactile images, as they do in the data set.
        scene: Name in ``scene_info.npy``.
    """

    training_episodes: int = 1
    validation_episodes: int = 1
    segment_frames: int = 34
    extras: bool = True
    scene: str = "calvin_scene_D"


@dataclass(frozen=True)
class _Recording:
    """One episode: its frame ids ``first`` to ``first + len(scene) - 1``."""

    first: int
    robot: NDArray[np.float64]
    scene: NDArray[np.float64]
    annotations: list[Annotation]

    @property
    def last(self) -> int:
        return self.first + len(self.scene) - 1


def write_download(root: Path, page: Download) -> Path:
    """Write ``training`` and ``validation`` below ``root``; returns it."""
    rng = np.random.default_rng(0)
    counts = {"validation": page.validation_episodes, "training": page.training_episodes}
    recordings: dict[str, list[_Recording]] = {split: [] for split in counts}
    first = 0
    for turn in range(max(counts.values())):
        for split in (name for name, count in counts.items() if turn < count):
            recording = _episode(rng, page.segment_frames, first)
            _write_frames(root / split, recording, rng, extras=page.extras)
            recordings[split].append(recording)
            first = recording.last + 2  # behind the stray frame
    for split, written in recordings.items():
        _describe(root / split, written)
    scenes = {page.scene: [0, first - 2]}  # of both splits together, as there
    np.save(root / "training/scene_info.npy", np.asarray(scenes), allow_pickle=True)
    return root


def frames_of(rng: np.random.Generator, count: int, *, extras: bool) -> Iterator[dict[str, NDArray]]:
    """Images of frames: smooth pictures with noise, so that files compress about as camera pictures do."""
    for index in range(count):
        frame = {"rgb_static": _picture(rng, 200, index), "rgb_gripper": _picture(rng, 84, index)}
        if extras:
            frame |= {
                "rgb_tactile": rng.integers(90, 92, (160, 120, 6), np.uint8),
                "depth_static": rng.normal(4.4, 0.05, (200, 200)).astype(np.float32),
                "depth_gripper": rng.normal(0.3, 0.05, (84, 84)).astype(np.float32),
                "depth_tactile": np.zeros((160, 120, 2), np.float32),
            }
        yield frame


def _picture(rng: np.random.Generator, size: int, index: int) -> NDArray[np.uint8]:
    ramp = np.linspace(40, 200, size)
    smooth = ramp[:, None, None] * 0.6 + np.roll(ramp, index)[None, :, None] * 0.4
    return np.clip(smooth + rng.normal(0, 6, (size, size, 3)), 0, 255).astype(np.uint8)


def _describe(folder: Path, recordings: Sequence[_Recording]) -> None:
    """Write what there is beside the frames."""
    SplitWriter(folder).finish(
        episodes=np.array([(recording.first, recording.last) for recording in recordings]),
        annotations=[row for recording in recordings for row in recording.annotations],
        robot_obs=np.concatenate([recording.robot[:-1] for recording in recordings]),
        scene_obs=np.concatenate([recording.scene for recording in recordings]),
        training=folder.name == "training",
        merged_config=RECORDING,
    )
    (folder / ".hydra/config.yaml").write_text(yaml.safe_dump(RECORDING))
    shutil.copytree(folder / "lang_annotations", folder / LATER_FOLDER)


def _episode(rng: np.random.Generator, segment_frames: int, first: int) -> _Recording:
    count = segment_frames * len(TASK_NAMES)
    robot = make_robot_obs(count + 1, rng)
    robot[:, 7:14] = np.array(ARM_REST) + 0.02 * rng.normal(size=(count + 1, 7))
    scene = np.zeros((count, 24))
    scene[:, 6:] = np.tile([0.05, -0.12, 0.46, 0.0, 0.0, 1.5], 3)
    scene[:, [6, 12, 18]] = [0.05, 0.16, 0.27]
    annotations = []
    for number, task in enumerate(TASK_NAMES):
        end = (number + 1) * segment_frames
        for quantity, value in CHANGES[task].items():
            scene[end - SUCCESS_FRAMES :, quantity] = value
        start = first + number * segment_frames
        annotations.append(Annotation(task, start, start + segment_frames - 1, f"do {task}"))
    annotations.append(Annotation("lift_red_block_table", first, first + 40, "lift the red block"))
    return _Recording(first, robot, scene, annotations)


def _write_frames(folder: Path, recording: _Recording, rng: np.random.Generator, *, extras: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    absolute, relative = relative_actions(recording.robot)
    for row, images in enumerate(frames_of(rng, len(recording.scene), extras=extras)):
        np.savez_compressed(
            folder / frame_file_name(recording.first + row),
            actions=absolute[row],
            rel_actions=relative[row],
            robot_obs=recording.robot[row],
            scene_obs=recording.scene[row],
            **images,
        )
    stray = folder / frame_file_name(recording.last + 1)
    shutil.copy(folder / frame_file_name(recording.first), stray)
