"""Writing a split in CALVIN's format, so that nothing downstream can tell it from a download.

Frames are written episode by episode, from any process; the files that describe the whole split are written
once at the end, ``ep_start_end_ids.npy`` last, so that a split without it is known to be unfinished.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from wam.episodes import calvin_format as calvin
from wam.episodes.calvin_format import Annotation
from wam.episodes.calvin_frame import (
    POSITION_SCALE_M,
    ROBOT_OBS,
    ROTATION_SCALE_RAD,
    SCENE_OBS,
    frame_file_name,
)
from wam.episodes.npz_file import write_npz

EMBEDDING_DIM: Final = 384
"""Width of CALVIN's sentence embeddings (MiniLM); we have no language model, so they are written as NaN."""
_NORMALIZER: Final = "calvin_models.calvin_agent.utils.transforms.NormalizeVector"


def relative_actions(
    robot_obs: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """CALVIN's actions from measured poses: what was reached, not what was commanded.

    Args:
        robot_obs: Consecutive robot states, ``(N, 15)``: TCP xyz (m), Euler xyz (rad), ..., gripper action
            last.

    Returns:
        ``actions (N-1, 7)``, TCP pose and gripper action of the next frame, and ``rel_actions (N-1, 7)``, the
        clipped, scaled differences to it in [-1, 1], Euler angles wrapped component by component.
    """
    pose, following = robot_obs[:-1, :6], robot_obs[1:]
    absolute = np.concatenate([following[:, :6], following[:, 14:15]], axis=1)
    shift = np.clip(absolute[:, :3] - pose[:, :3], -POSITION_SCALE_M, POSITION_SCALE_M)
    turn = (absolute[:, 3:6] - pose[:, 3:6] + np.pi) % (2 * np.pi) - np.pi
    turn = np.clip(turn, -ROTATION_SCALE_RAD, ROTATION_SCALE_RAD)
    relative = np.concatenate([shift / POSITION_SCALE_M, turn / ROTATION_SCALE_RAD, absolute[:, 6:]], axis=1)
    return absolute, relative


@dataclass(frozen=True)
class SplitWriter:
    """Writes one split folder. Picklable: worker processes may write different episodes at the same time.

    Attributes:
        folder: The split folder; made when missing.
        layout_names: Names of the values in each episode's layout vector; empty for no layouts.
    """

    folder: Path
    layout_names: tuple[str, ...] = ()

    def write_episode(
        self,
        first_id: int,
        *,
        rgb_static: NDArray[np.uint8],
        rgb_gripper: NDArray[np.uint8],
        robot_obs: NDArray[np.float64],
        scene_obs: NDArray[np.float64],
    ) -> tuple[int, int]:
        """Write the frames of one recording without reset; the last recorded frame yields no file, as there.

        Args:
            first_id: Frame id of the first frame.
            rgb_static: ``(N, h, w, 3)`` uint8, at least ``N - 1`` images.
            rgb_gripper: ``(N, h, w, 3)`` uint8, at least ``N - 1`` images.
            robot_obs: ``(N, 15)``, ``N`` at least 2; ``robot_obs[t + 1, 14]`` is the gripper action taken at
                ``t``.
            scene_obs: ``(N, 24)``, at least ``N - 1`` rows.

        Returns:
            First and last frame id written, inclusive.

        Raises:
            ValueError: If a shape does not fit.
        """
        _check_recording(rgb_static, rgb_gripper, robot_obs, scene_obs)
        self.folder.mkdir(parents=True, exist_ok=True)
        absolute, relative = relative_actions(np.asarray(robot_obs, np.float64))
        for row in range(len(absolute)):
            frame = {
                "actions": absolute[row],
                "rel_actions": relative[row],
                "robot_obs": np.asarray(robot_obs[row], np.float64),
                "scene_obs": np.asarray(scene_obs[row], np.float64),
                "rgb_static": np.asarray(rgb_static[row], np.uint8),
                "rgb_gripper": np.asarray(rgb_gripper[row], np.uint8),
            }
            write_npz(self.folder / frame_file_name(first_id + row), frame)
        return first_id, first_id + len(absolute) - 1

    def finish(
        self,
        *,
        episodes: NDArray[np.int64],
        annotations: Sequence[Annotation],
        robot_obs: NDArray[np.float64],
        scene_obs: NDArray[np.float64],
        layouts: NDArray[np.float64] | None = None,
        training: bool,
        merged_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the files that describe the split, the episode ids last.

        Args:
            episodes: ``(E, 2)`` first and last frame ids, inclusive, in the order of ``layouts``.
            annotations: Task segments.
            robot_obs: ``(N, 15)`` robot states of all frames, for ``statistics.yaml``.
            scene_obs: ``(N, 24)`` scene states of all frames, for ``statistics.yaml``.
            layouts: ``(E, L)`` layouts, or None when ``layout_names`` is empty.
            training: Training splits carry ``scene_info.npy``, validation splits ``embeddings.npy``.
            merged_config: Recording configuration (cameras, scene, robot, env) for
                ``.hydra/merged_config.yaml``.

        Raises:
            ValueError: If ``layouts`` does not fit ``episodes`` and ``layout_names``.
        """
        ids = np.asarray(episodes, np.int64).reshape(-1, 2)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_layouts(layouts, len(ids))
        _write_yaml(self.folder / calvin.MERGED_CONFIG_FILE, dict(merged_config or {}))
        _write_yaml(self.folder / calvin.STATISTICS_FILE, _statistics(robot_obs, scene_obs))
        _write_npy(self.folder / calvin.ANNOTATIONS_FILE, _annotation_dict(annotations))
        if training:
            _write_npy(self.folder / calvin.SCENE_INFO_FILE, {calvin.SCENE: [int(ids.min()), int(ids.max())]})
        else:
            _write_npy(self.folder / calvin.EMBEDDINGS_FILE, _embedding_dict(annotations))
        _write_npy(self.folder / calvin.EPISODE_LENGTHS_FILE, ids[:, 1] - ids[:, 0] + 1)
        _write_npy(self.folder / calvin.EPISODE_IDS_FILE, ids)

    def _write_layouts(self, layouts: NDArray[np.float64] | None, episodes: int) -> None:
        if layouts is None:
            if self.layout_names:
                raise ValueError(f"layouts are missing; layout_names promises {self.layout_names}")
            return
        values = np.asarray(layouts, np.float64)
        if values.shape != (episodes, len(self.layout_names)):
            raise ValueError(
                f"layouts must have shape {(episodes, len(self.layout_names))}, got {values.shape}"
            )
        file = self.folder / calvin.LAYOUTS_FILE
        with _partial(file).open("wb") as stream:
            np.savez(stream, names=np.array(self.layout_names, dtype=np.str_), values=values)
        os.replace(_partial(file), file)


def _check_recording(
    rgb_static: NDArray[np.uint8],
    rgb_gripper: NDArray[np.uint8],
    robot_obs: NDArray[np.float64],
    scene_obs: NDArray[np.float64],
) -> None:
    if robot_obs.ndim != 2 or robot_obs.shape[1] != 15 or len(robot_obs) < 2:
        raise ValueError(f"robot_obs must have shape (N, 15) with N >= 2, got {robot_obs.shape}")
    frames = len(robot_obs) - 1
    if scene_obs.ndim != 2 or scene_obs.shape[1] != 24 or len(scene_obs) < frames:
        raise ValueError(f"scene_obs must have shape ({frames} or more, 24), got {scene_obs.shape}")
    for name, images in (("rgb_static", rgb_static), ("rgb_gripper", rgb_gripper)):
        if images.ndim != 4 or images.shape[3] != 3 or len(images) < frames or images.dtype != np.uint8:
            raise ValueError(
                f"{name} must have shape ({frames} or more, h, w, 3) and dtype uint8, "
                f"got {images.shape} {images.dtype}"
            )


def _annotation_dict(annotations: Sequence[Annotation]) -> dict[str, Any]:
    return {
        "language": {
            "ann": [row.sentence for row in annotations],
            "task": [row.task for row in annotations],
            "emb": np.full((len(annotations), 1, EMBEDDING_DIM), np.nan, np.float32),
        },
        "info": {"indx": [(row.start, row.end) for row in annotations], "episodes": []},
    }


def _embedding_dict(annotations: Sequence[Annotation]) -> dict[str, Any]:
    sentences: dict[str, str] = {}
    for row in annotations:
        sentences.setdefault(row.task, row.sentence)
    blank = np.full((1, 1, EMBEDDING_DIM), np.nan, np.float32)
    return {task: {"emb": blank, "ann": [sentence]} for task, sentence in sentences.items()}


def _statistics(robot_obs: NDArray[np.float64], scene_obs: NDArray[np.float64]) -> dict[str, Any]:
    modalities: dict[str, Any] = {
        name: [
            {
                "_target_": _NORMALIZER,
                "mean": values.mean(axis=0).tolist(),
                "std": values.std(axis=0).tolist(),
            }
        ]
        for name, values in ((ROBOT_OBS, robot_obs), (SCENE_OBS, scene_obs))
    }
    return {**modalities, "act_max_bound": [1.0] * 7, "act_min_bound": [-1.0] * 7}


def _partial(file: Path) -> Path:
    return file.with_name(f".{file.name}.partial")


def _write_npy(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with _partial(file).open("wb") as stream:
        np.save(stream, np.asarray(value), allow_pickle=True)
    os.replace(_partial(file), file)


def _write_yaml(file: Path, value: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    _partial(file).write_text(yaml.safe_dump(value, sort_keys=False))
    os.replace(_partial(file), file)
