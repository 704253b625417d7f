import numpy as np
import pandas as pd
import pytest

from wam.demonstrations import replay_labels
from wam.demonstrations.replay_labels import label_segments, replay_success_table, start_at, step_labels
from wam.sim.config import SimConfig


def segments(*rows):
    return pd.DataFrame(rows, columns=["task", "role", "start_row", "end_row"])


def test_a_label_describes_its_own_frame():
    scene = np.zeros((5, 24))
    scene[:, 1] = [0.0, 0.1, 0.121, 0.2, 0.05]
    np.testing.assert_array_equal(step_labels("open_drawer", scene), [False, False, True, True, False])


def test_the_first_frame_is_never_a_success():
    scene = np.ones((3, 24))
    assert not step_labels("turn_on_led", scene).any()


def test_recorded_labels_need_no_simulator(drawer_episodes):
    table = segments(
        ("open_drawer", "demo", 0, 11), ("open_drawer", "test", 12, 23), ("close_drawer", "demo", 2, 6)
    )
    labels = label_segments(SimConfig(), table, drawer_episodes, workers=1, source="recorded")
    first = labels.frames[labels.frames.segment == 0]
    assert first.step[first.label].tolist() == [7, 8, 9, 10, 11]
    assert first.frame_id.tolist() == list(range(100, 112))
    assert labels.segments.positives.tolist() == [5, 0, 0]
    assert labels.segments.replay_succeeded.tolist() == [True, False, False]
    assert labels.segments.frames.tolist() == [12, 12, 5]


@pytest.fixture
def replays(monkeypatch):
    """Replay in which every action's first component moves the drawer; keeps what it was given."""
    seen = []

    class NoTable:
        def __init__(self, _config, render):
            assert not render

        def close(self):
            pass

    def replay(_config, start, actions, **_):
        seen.append((start, actions))
        scene = np.zeros((len(actions) + 1, 24))
        scene[:, 1] = start.scene_state[1] + np.concatenate([[0], np.cumsum(actions[:, 0])])
        return scene

    monkeypatch.setattr(replay_labels, "make_table", NoTable)
    monkeypatch.setattr(replay_labels, "replay_actions", replay)
    return seen


def test_replay_starts_from_recorded_vectors_and_pairs_the_frame_after_the_action(drawer_episodes, replays):
    drawer_episodes.action[:, 0] = 0.0
    drawer_episodes.action[14, 0] = 0.13
    labels = label_segments(
        SimConfig(), segments(("open_drawer", "demo", 13, 18)), drawer_episodes, workers=1, source="replay"
    )
    assert labels.frames.label.tolist() == [False, False, True, True, True, True]
    start, actions = replays[0]
    np.testing.assert_array_equal(start.robot_obs, drawer_episodes.robot_obs[13])
    np.testing.assert_array_equal(start.layout, [0.3, 0.4])
    assert len(actions) == 6


@pytest.mark.usefixtures("replays")
def test_success_after_the_last_action_is_reported_but_labels_no_frame(drawer_episodes):
    drawer_episodes.action[:, 0] = 0.0
    drawer_episodes.action[18, 0] = 0.13
    labels = label_segments(
        SimConfig(), segments(("open_drawer", "demo", 13, 18)), drawer_episodes, workers=1
    )
    assert labels.segments.replay_succeeded.tolist() == [True]
    assert labels.segments.positives.tolist() == [0]


@pytest.mark.usefixtures("replays")
def test_many_segments_keep_their_order(drawer_episodes):
    rows = [("open_drawer", "demo", i % 10, i % 10 + 1 + i % 3) for i in range(20)]
    labels = label_segments(SimConfig(), segments(*rows), drawer_episodes, workers=1)
    assert labels.segments.frames.tolist() == [2 + i % 3 for i in range(20)]


def test_success_per_task(drawer_episodes):
    table = segments(
        ("open_drawer", "demo", 0, 11), ("open_drawer", "demo", 12, 23), ("close_drawer", "demo", 2, 6)
    )
    labels = label_segments(SimConfig(), table, drawer_episodes, workers=1, source="recorded")
    rows = replay_success_table(labels.segments)
    assert rows.task.tolist() == ["open_drawer", "close_drawer"]
    assert rows.succeeded.tolist() == [1, 0]
    assert rows.rate.tolist() == [0.5, 0.0]


def test_unknown_sources_and_empty_tables_stop(drawer_episodes):
    with pytest.raises(ValueError, match="replay, recorded"):
        label_segments(SimConfig(), segments(), drawer_episodes, workers=1, source="memory")
    with pytest.raises(ValueError, match="select expert segments"):
        label_segments(SimConfig(), segments(), drawer_episodes, workers=1)


def test_a_start_carries_its_episodes_layout(drawer_episodes):
    np.testing.assert_array_equal(start_at(drawer_episodes, 11).layout, [0.1, 0.2])
    np.testing.assert_array_equal(start_at(drawer_episodes, 12).layout, [0.3, 0.4])
