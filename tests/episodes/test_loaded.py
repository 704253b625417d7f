"""Whole episodes out of frames that lie one after another."""

import numpy as np

from wam.episodes.loaded import episodes_at, rows_of


def frames(count: int) -> dict[str, np.ndarray]:
    """Frames whose values count up."""
    rows = np.arange(count)
    image = np.zeros((count, 64, 64, 3), np.uint8) + rows.astype(np.uint8)[:, None, None, None]
    wide = {name: np.repeat(rows[:, None], width, 1) for name, width in (("action", 7), ("proprio", 18))}
    states = {"robot_obs": np.zeros((count, 15)), "scene_state": np.zeros((count, 24))}
    return {"image_static": image, "image_gripper": image, **wide, **states}


def test_episodes_come_in_the_order_asked_for() -> None:
    spans = [slice(6, 9), slice(0, 2), slice(2, 5)]
    episodes = episodes_at(frames(9), spans, 100 + rows_of(spans))
    want = [6, 7, 8, 0, 1, 2, 3, 4]
    assert rows_of(spans).tolist() == want
    assert episodes.image_static[:, 0, 0, 0].tolist() == episodes.action[:, 0].tolist() == want
    assert episodes.frame_id.tolist() == [100 + row for row in want]
    assert np.flatnonzero(episodes.is_first).tolist() == episodes.episode_start.tolist() == [0, 3, 5]
    assert episodes.episode_length.tolist() == [3, 2, 3]
    kinds = (episodes.image_static, episodes.action, episodes.proprio, episodes.robot_obs)
    assert [values.dtype for values in kinds] == [np.uint8, np.float32, np.float32, np.float64]


def test_neighbours_are_read_at_once() -> None:
    read: list[slice] = []

    class Lazy:
        def __init__(self, values: np.ndarray) -> None:
            self.values = values

        def __getitem__(self, rows: slice) -> np.ndarray:
            read.append(rows)
            return self.values[rows]

    spans = [slice(0, 2), slice(2, 5), slice(6, 9)]
    episodes_at({name: Lazy(values) for name, values in frames(9).items()}, spans, rows_of(spans))
    assert read == [slice(0, 5), slice(6, 9)] * 6
