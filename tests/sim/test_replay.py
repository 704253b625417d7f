import numpy as np
import pytest

from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.replay import replay_actions
from wam.sim.starts import sample_start

CONFIG = SimConfig()
START = sample_start(CONFIG, numpy_generator(0, "replay"))


def test_replay_shows_what_the_environment_shows():
    actions = np.random.default_rng(0).uniform(-1, 1, (10, 7))
    env = PlayTableEnv(CONFIG, render=False)
    scenes = [env.reset(options={"start": START})[0]["scene_obs"]]
    scenes += [env.step(action)[0]["scene_obs"] for action in actions]
    np.testing.assert_array_equal(replay_actions(CONFIG, START, actions), scenes)
    np.testing.assert_array_equal(replay_actions(CONFIG, START, actions, env=env), scenes)
    env.close()


def test_actions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(T, 7\)"):
        replay_actions(CONFIG, START, np.zeros((4, 6)))
