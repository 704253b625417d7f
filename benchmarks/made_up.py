"""Recorded episodes that nobody recorded, for what does not depend on what they show."""

import numpy as np

from wam.contracts import IMAGE_SIZE
from wam.episodes.loaded import Episodes
from wam.seeding import numpy_generator


def made_up_episodes(count: int, length: int) -> Episodes:
    """Episodes of random frames, without robot and scene states.

    Args:
        count: Episodes.
        length: Frames of each.
    """
    rng, frames = numpy_generator(0, "made up"), count * length
    start = np.arange(0, frames, length)
    shape, none = (frames, IMAGE_SIZE, IMAGE_SIZE, 3), np.zeros((0, 0))
    return Episodes(
        image_static=rng.integers(0, 256, shape, np.uint8),
        image_gripper=rng.integers(0, 256, shape, np.uint8),
        action=rng.uniform(-1, 1, (frames, 7)).astype(np.float32),
        proprio=rng.normal(size=(frames, 18)).astype(np.float32),
        robot_obs=none,
        scene_state=none,
        is_first=np.isin(np.arange(frames), start),
        frame_id=np.arange(frames),
        episode_start=start,
        episode_length=np.full(count, length),
        layout=None,
    )
