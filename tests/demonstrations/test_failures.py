import numpy as np
import pytest

from wam.demonstrations.failures import (
    AFTER_SUCCESS,
    NearMissConfig,
    attempt_starts,
    read_attempts,
    record_attempts,
    undecidable_kinds,
)
from wam.episodes.calvin_writer import relative_actions
from wam.sim.config import SimConfig
from wam.sim.expert_runs import VARIANTS

PAGE = NearMissConfig(seed=3, train_starts=1, held_out_starts=1)
TASKS = ("open_drawer", "turn_on_led")


def recorded(workers):
    """All blocks as one mapping of arrays."""
    blocks = list(record_attempts(SimConfig(), PAGE, workers=workers, tasks=TASKS))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@pytest.fixture(scope="module")
def arrays():
    return recorded(workers=1)


@pytest.mark.slow
def test_every_start_gives_every_kind(arrays):
    attempts = read_attempts(arrays)
    table = attempts.table
    assert table.task.tolist() == ["open_drawer"] * 8 + ["turn_on_led"] * 8
    assert table.kind.tolist() == [*VARIANTS] * 4
    assert table.role.tolist() == (["train"] * 4 + ["held_out"] * 4) * 2
    assert (table.end_row - table.start_row + 1).sum() == attempts.episodes.num_frames
    assert attempts.episodes.image_static.shape[1:] == (64, 64, 3)


@pytest.mark.slow
def test_only_whole_motions_succeed_and_stay_solved_for_a_while(arrays):
    attempts = read_attempts(arrays, role="held_out")
    outcomes = attempts.labels().segments
    full = (attempts.table.kind == "full").to_numpy()
    assert outcomes.replay_succeeded.tolist() == full.tolist()
    assert (outcomes.positives[full] > 1).all()
    assert (outcomes.positives[full] <= 1 + AFTER_SUCCESS).all()


@pytest.mark.slow
def test_actions_are_those_of_the_measured_poses(arrays):
    episodes = read_attempts(arrays, task="turn_on_led").episodes
    rows = slice(int(episodes.episode_start[1]), int(episodes.episode_start[1] + episodes.episode_length[1]))
    _, measured = relative_actions(episodes.robot_obs[rows])
    np.testing.assert_allclose(episodes.action[rows][:-1], measured, atol=1e-6)
    assert (episodes.action[rows][-1, :6] == 0).all()


@pytest.mark.slow
def test_it_repeats_for_any_number_of_workers(arrays):
    again = recorded(workers=2)
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, again[name], err_msg=name)


def test_train_and_held_out_sets_share_no_start():
    drawn = [attempt_starts(SimConfig(), "open_drawer", role, 4, seed=0) for role in ("train", "held_out")]
    assert not {start.robot_obs.tobytes() for start in drawn[0]} & {
        start.robot_obs.tobytes() for start in drawn[1]
    }


def small_arrays():
    """Three attempts of 2, 3 and 4 frames; frame values count up."""
    frames = np.arange(9)
    wide = {name: np.repeat(frames[:, None], n, axis=1) for name, n in [("action", 7), ("proprio", 18)]}
    return wide | {
        "image_static": np.zeros((9, 64, 64, 3), np.uint8),
        "image_gripper": np.zeros((9, 64, 64, 3), np.uint8),
        "robot_obs": np.zeros((9, 15)),
        "scene_state": np.zeros((9, 24)),
        "attempt_task": np.array([0, 0, 1]),
        "attempt_role": np.array([0, 1, 1]),
        "attempt_kind": np.array([1, 0, 2]),
        "attempt_frames": np.array([2, 3, 4]),
        "attempt_success": np.array([False, True, False]),
    }


def test_one_task_is_read_alone():
    attempts = read_attempts(small_arrays(), task="close_drawer")
    assert attempts.episodes.action[:, 0].tolist() == [5, 6, 7, 8]
    assert attempts.episodes.is_first.tolist() == [True, False, False, False]
    assert attempts.table[["start_row", "end_row", "start_frame", "end_frame"]].to_numpy().tolist() == [
        [0, 3, 5, 8]
    ]


def test_only_the_frames_asked_for_are_read():
    read = []

    class Lazy:
        def __init__(self, name, values):
            self.name, self.values = name, values

        def __getitem__(self, key):
            read.append((self.name, key))
            return self.values[key]

    read_attempts({name: Lazy(name, values) for name, values in small_arrays().items()}, role="held_out")
    assert [key for name, key in read if name == "image_static"] == [slice(2, 9)]


def test_only_the_led_shows_that_a_motion_was_in_vain():
    assert undecidable_kinds("turn_on_led") == undecidable_kinds("turn_off_led") == ()
    assert undecidable_kinds("turn_on_lightbulb") == undecidable_kinds("open_drawer") == ("redundant",)


def test_asking_for_nothing_stops():
    with pytest.raises(ValueError, match="no attempts at move_slider_left"):
        read_attempts(small_arrays(), task="move_slider_left")
