"""A small folder in CALVIN's format, for the tests of any room (see the fixtures in conftest)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wam.episodes.calvin_format import Annotation
from wam.episodes.calvin_writer import SplitWriter

LAYOUT_NAMES = ("button_x", "handle_x")


def make_robot_obs(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A plausible recording ``(frames, 15)``: small motions, roll next to the wrap at pi, gripper +-1."""
    robot = np.zeros((frames, 15))
    robot[:, :3] = np.array([0.0, -0.2, 0.5]) + np.cumsum(rng.normal(0, 0.005, (frames, 3)), axis=0)
    angles = np.array([3.12, 0.0, 1.5]) + np.cumsum(rng.normal(0, 0.01, (frames, 3)), axis=0)
    robot[:, 3:6] = (angles + np.pi) % (2 * np.pi) - np.pi
    robot[:, 6] = rng.uniform(0, 0.08, frames)
    robot[:, 7:14] = np.cumsum(rng.normal(0, 0.01, (frames, 7)), axis=0)
    robot[:, 14] = rng.choice([-1.0, 1.0], frames)
    return robot


def make_scene_obs(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Scene states ``(frames, 24)`` in which nothing moves."""
    scene = np.tile(rng.uniform(0, 0.05, 24), (frames, 1))
    scene[:, 4:6] = rng.integers(0, 2, 2)
    return scene


def write_calvin_split(
    folder: Path,
    *,
    lengths: Sequence[int] = (5, 4),
    first_id: int = 10,
    gap: int = 3,
    static_size: int = 64,
    gripper_size: int = 64,
    annotations: Sequence[Annotation] = (),
    layouts: bool = True,
    training: bool = True,
    seed: int = 0,
    scenes: Sequence[NDArray[np.float64]] | None = None,
) -> Path:
    """Write a split of episodes of these lengths in CALVIN's layout, ``gap`` unused ids between them."""
    rng = np.random.default_rng(seed)
    writer = SplitWriter(folder, LAYOUT_NAMES if layouts else ())
    episodes, robots, all_scenes = [], [], []
    for index, length in enumerate(lengths):
        robot = make_robot_obs(length + 1, rng)
        scene = make_scene_obs(length + 1, rng) if scenes is None else scenes[index]
        images = [
            rng.integers(0, 256, (length + 1, size, size, 3), np.uint8)
            for size in (static_size, gripper_size)
        ]
        ids = writer.write_episode(
            first_id, rgb_static=images[0], rgb_gripper=images[1], robot_obs=robot, scene_obs=scene
        )
        episodes.append(ids)
        robots.append(robot[:-1])
        all_scenes.append(scene[:length])
        first_id = ids[1] + 1 + gap
    writer.finish(
        episodes=np.array(episodes, np.int64),
        annotations=annotations,
        robot_obs=np.concatenate(robots),
        scene_obs=np.concatenate(all_scenes),
        layouts=rng.uniform(-0.1, 0.1, (len(lengths), len(LAYOUT_NAMES))) if layouts else None,
        training=training,
    )
    return folder
