"""A tiny world model and hand-made episodes."""

import numpy as np
import pytest
from toy_world import tiny_world_model

from wam.episodes.store import Episodes


@pytest.fixture(scope="session")
def world_model():
    return tiny_world_model()


@pytest.fixture
def drawer_episodes():
    """Two episodes of 12 frames; the drawer opens by 2 cm a frame in the first and stays in the second."""
    frames = 24
    scene = np.zeros((frames, 24))
    scene[:12, 1] = np.minimum(0.02 * np.arange(12), 0.2)
    rng = np.random.default_rng(0)
    is_first = np.zeros(frames, bool)
    is_first[[0, 12]] = True
    return Episodes(
        image_static=rng.integers(0, 256, (frames, 64, 64, 3), np.uint8),
        image_gripper=rng.integers(0, 256, (frames, 64, 64, 3), np.uint8),
        action=rng.uniform(-1, 1, (frames, 7)).astype(np.float32),
        proprio=rng.normal(size=(frames, 18)).astype(np.float32),
        robot_obs=rng.normal(size=(frames, 15)),
        scene_state=scene,
        is_first=is_first,
        frame_id=np.arange(100, 100 + frames),
        episode_start=np.array([0, 12]),
        episode_length=np.array([12, 12]),
        layout=np.array([[0.1, 0.2], [0.3, 0.4]]),
    )
