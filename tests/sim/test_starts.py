"""Random starts: feasible, varied, calm."""

import numpy as np
import pytest

from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.starts import sample_start
from wam.tasks.predicates import is_feasible
from wam.tasks.table import TASKS

CONFIG = SimConfig()


@pytest.mark.parametrize("name", list(TASKS))
def test_the_task_is_possible_in_every_start(name):
    rng = np.random.default_rng(0)
    scenes = np.array([sample_start(CONFIG, rng, name).scene_state for _ in range(30)])
    assert is_feasible(TASKS[name], scenes).all()


def test_starts_are_a_function_of_the_generator():
    one, two = (sample_start(CONFIG, np.random.default_rng(4), "open_drawer") for _ in range(2))
    assert one == two


def test_openings_poses_and_layout_vary():
    rng = np.random.default_rng(0)
    starts = [sample_start(CONFIG, rng) for _ in range(20)]
    tcp = np.array([start.robot_obs[:3] for start in starts])
    assert (np.ptp(tcp, axis=0) > [0.3, 0.15, 0.08]).all()
    assert len({float(start.scene_state[1]) for start in starts}) == 20
    assert (np.ptp([start.layout for start in starts], axis=0) > 0.05).all()


def test_bulb_agrees_with_its_switch():
    rng = np.random.default_rng(0)
    scenes = np.array([sample_start(CONFIG, rng).scene_state for _ in range(30)])
    np.testing.assert_array_equal(scenes[:, 3] > 0.044, scenes[:, 4] == 1)


def test_fixed_layout_is_calvins():
    rng = np.random.default_rng(0)
    config = SimConfig(layout="fixed")
    layouts = [sample_start(config, rng).layout for _ in range(3)]
    assert np.ptp(layouts, axis=0).max() == 0


def test_nothing_touches_the_arm_and_nothing_moves():
    env, rng = PlayTableEnv(CONFIG, render=False), np.random.default_rng(1)
    for _ in range(10):
        start = sample_start(CONFIG, rng)
        env.reset(options={"start": start})
        for _ in range(10):
            observation = env.step(np.array([0, 0, 0, 0, 0, 0, start.robot_obs[14]]))[0]
        np.testing.assert_allclose(observation["scene_obs"], start.scene_state, atol=2e-3)
        np.testing.assert_allclose(observation["robot_obs"][:3], start.robot_obs[:3], atol=0.02)
        others = {contact[2] for contact in env.get_info()["robot_info"]["contacts"]}
        assert others <= {env.get_info()["robot_info"]["uid"]}
    env.close()
