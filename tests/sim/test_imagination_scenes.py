import numpy as np
import pytest

from wam.sim.config import SimConfig
from wam.sim.imagination_scenes import sample_scenes
from wam.sim.kinematics import tcp_pose
from wam.sim.starts import sample_start
from wam.tasks.table import DRAWER, LED, LIGHTBULB, SLIDER, SWITCH, TASK_NAMES

FIXED = SimConfig(layout="fixed")


def scenes_of(task, count=60, seed=0):
    return sample_scenes(FIXED, np.random.default_rng(seed), task, count, "published")


def test_our_own_draw_is_the_simulators():
    ours = sample_scenes(SimConfig(), np.random.default_rng(1), "open_drawer", 3, "own")
    rng = np.random.default_rng(1)
    assert ours == [sample_start(SimConfig(), rng, "open_drawer") for _ in range(3)]


def test_the_hand_of_a_task_never_moves_as_published():
    poses = [tcp_pose(scene.robot_obs[7:14]) for scene in scenes_of("open_drawer", 8)]
    positions, rotations = (np.array([pose[i] for pose in poses]) for i in (0, 1))
    assert np.ptp(positions, axis=0).max() < 3e-3, "to the accuracy of inverse kinematics"
    assert np.ptp(rotations, axis=0).max() > 0.05
    other = tcp_pose(scenes_of("open_drawer", 1, seed=5)[0].robot_obs[7:14])[0]
    assert np.abs(other - positions[0]).max() > 0.01, "another process, another position"


PUBLISHED = {
    "open_drawer": (DRAWER, [0.0]),
    "move_slider_left": (SLIDER, [0.0, 0.02]),
    "move_slider_right": (SLIDER, [0.25, 0.26, 0.28]),
    "turn_on_lightbulb": (LIGHTBULB, [0.0]),
    "turn_off_lightbulb": (LIGHTBULB, [1.0]),
    "turn_on_led": (LED, [0.0]),
    "turn_off_led": (LED, [1.0]),
}


@pytest.mark.parametrize("task", TASK_NAMES)
def test_scenes_are_those_of_the_table(task):
    state = np.array([scene.scene_state for scene in scenes_of(task, 25)])
    if task == "close_drawer":
        assert ((state[:, DRAWER] >= 0.19) & (state[:, DRAWER] <= 0.22)).all()
    else:
        quantity, values = PUBLISHED[task]
        assert sorted(set(state[:, quantity])) == values
        assert set(state[:, DRAWER]) <= {0.0, 0.19, 0.22}
    np.testing.assert_array_equal(state[:, SWITCH], 0.088 * state[:, LIGHTBULB])
    blocks = state[:, 6:].reshape(-1, 3, 6)
    inside = (blocks[..., 2] == 0.37).sum(axis=1)
    np.testing.assert_array_equal(inside, state[:, DRAWER] > 0)


def test_a_table_that_varies_has_no_published_scenes():
    with pytest.raises(ValueError, match=r"set simulator.layout to fixed"):
        sample_scenes(SimConfig(), np.random.default_rng(0), "open_drawer", 1, "published")
