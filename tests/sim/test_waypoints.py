import numpy as np

from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.starts import sample_start
from wam.sim.waypoints import CLOSED, OPEN, Leg, LegFollower, wrapped


def follow(legs, steps=80):
    config = SimConfig()
    env = PlayTableEnv(config, render=False)
    obs, _ = env.reset(options={"start": sample_start(config, numpy_generator(0, "legs"))})
    follower = LegFollower(legs)
    path, actions = [obs["robot_obs"]], []
    while not follower.finished and len(actions) < steps:
        actions.append(follower.act(obs["robot_obs"], env.target_pose))
        obs = env.step(actions[-1])[0]
        path.append(obs["robot_obs"])
    env.close()
    return follower, np.array(path), np.array(actions)


def test_a_leg_is_reached_within_its_tolerance():
    goal = np.array([0.1, -0.2, 0.55])
    follower, path, _ = follow([Leg(goal, tolerance=0.004)])
    assert follower.finished
    assert np.linalg.norm(path[-2, :3] - goal) < 0.004


def test_actions_are_in_range_and_keep_the_speed():
    _, path, actions = follow([Leg(np.array([-0.2, -0.3, 0.6]), speed=0.01, gripper=OPEN)])
    assert np.abs(actions).max() <= 1
    assert np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1).max() < 0.013
    assert set(actions[:, 6]) == {OPEN}


def test_a_cone_is_descended_from_above():
    goal = np.array([0.1, -0.2, 0.5])
    _, path, _ = follow([Leg(goal, slope=4.0, ceiling=0.58)])
    beside = np.hypot(*(path[:, :2] - goal[:2]).T)
    assert (path[beside > 0.05, 2] > 0.53).all()


def test_a_leg_that_cannot_be_reached_is_given_up():
    follower, _, actions = follow([Leg(np.array([3.0, 0.0, 0.5]), patience=10, gripper=CLOSED)], steps=40)
    assert follower.finished
    assert len(actions) == 11


def test_angles_wrap():
    np.testing.assert_allclose(
        wrapped(np.array([np.pi + 0.1, -np.pi - 0.1, 0.3])), [-np.pi + 0.1, np.pi - 0.1, 0.3]
    )
