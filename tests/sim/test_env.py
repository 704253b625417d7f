"""Behaviour of the play table environment: determinism, limits, lights, action semantics."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from wam.sim import constants as c
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.kinematics import euler_to_matrix, solve_joints
from wam.sim.layout import FIXED_LAYOUT, Layout
from wam.sim.starts import sample_start
from wam.tasks.starts import Start

CONFIG = SimConfig(image_size_static=32, image_size_gripper=32)
STILL = np.array([0.0, 0, 0, 0, 0, 0, 1])


def start_with(seed=0, **scene):
    """A random start with some scene values replaced: slide, drawer, button, switch, bulb, led."""
    start = sample_start(CONFIG, np.random.default_rng(seed))
    state = start.scene_state.copy()
    for name, value in scene.items():
        state[("slide", "drawer", "button", "switch", "bulb", "led").index(name)] = value
    return Start(start.robot_obs, state, start.layout)


def actions(steps, seed=1):
    drawn = np.random.default_rng(seed).uniform(-1, 1, (steps, 7))
    drawn[:, 2] -= 0.4  # into the table, so that there are contacts
    return drawn


def digest(observation):
    arrays = [observation["robot_obs"], observation["scene_obs"], *observation["rgb_obs"].values()]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def trajectory(env, start, steps=25):
    observation, _ = env.reset(options={"start": start})
    return [digest(observation), *(digest(env.step(action)[0]) for action in actions(steps))]


@pytest.fixture(scope="module")
def env():
    env = PlayTableEnv(CONFIG)
    yield env
    env.close()


@pytest.fixture(scope="module")
def blind():
    """An environment that does not draw."""
    env = PlayTableEnv(CONFIG, render=False)
    yield env
    env.close()


def test_conforms_to_gymnasium():
    env = PlayTableEnv(CONFIG, task="open_drawer", max_steps=5)
    check_env(env, skip_render_check=True)
    env.close()


def test_observation_is_in_its_space(env):
    observation, _ = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    assert env.observation_space.contains(env.step(actions(1)[0])[0])


def test_same_start_gives_the_same_bits_after_any_history(env):
    start, other = start_with(1), start_with(2)
    first = trajectory(env, start)
    trajectory(env, other)
    assert trajectory(env, start) == first


def test_two_environments_do_not_disturb_each_other(env):
    start, other = start_with(1), start_with(2)
    alone = trajectory(env, start)
    second = PlayTableEnv(CONFIG)
    second.reset(options={"start": other})
    observation, _ = env.reset(options={"start": start})
    together = [digest(observation)]
    for action in actions(25):
        together.append(digest(env.step(action)[0]))
        second.step(-action)
    second.close()
    assert together == alone


@pytest.mark.slow
def test_same_start_gives_the_same_bits_in_another_process(env):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_env as t\n"
        "env = t.PlayTableEnv(t.CONFIG); sys.stderr.write('|'.join(t.trajectory(env, t.start_with(1))))"
    )
    folder = str(Path(__file__).parent)
    result = subprocess.run(
        [sys.executable, "-c", program, folder], capture_output=True, text=True, check=True
    )
    assert result.stderr.splitlines()[-1].split("|") == trajectory(env, start_with(1))


def test_observation_arrays_do_not_share_memory(env):
    first, _ = env.reset(seed=0)
    copy = {name: np.array(first[name]) for name in ("robot_obs", "scene_obs")}
    image = first["rgb_obs"]["rgb_static"].copy()
    second = env.step(actions(1)[0])[0]
    for name, value in copy.items():
        assert not np.shares_memory(first[name], second[name])
        np.testing.assert_array_equal(first[name], value)
    np.testing.assert_array_equal(first["rgb_obs"]["rgb_static"], image)


def test_no_element_is_constant_over_episodes(blind):
    seen = []
    for seed in range(12):
        blind.reset(seed=seed)
        for _ in range(4):  # blocks lie perfectly flat until contacts have acted
            observation = blind.step(STILL * (-1) ** seed)[0]
        seen.append(np.concatenate([observation["robot_obs"], observation["scene_obs"]]))
    pressed, _ = blind.reset(options={"start": start_with(1, button=0.015)})
    seen.append(np.concatenate([pressed["robot_obs"], pressed["scene_obs"]]))
    assert np.flatnonzero(np.ptp(np.array(seen), axis=0) == 0).size == 0


def test_a_start_is_restored(blind):
    start = start_with(5, drawer=0.11, slide=0.07)
    observation, info = blind.reset(options={"start": start})
    np.testing.assert_allclose(observation["robot_obs"], start.robot_obs, atol=1e-4)
    np.testing.assert_allclose(observation["scene_obs"], start.scene_state, atol=1e-3)
    assert blind.layout == Layout.from_array(start.layout)
    assert info["start"] is start


def test_a_start_without_layout_means_calvins_table(blind):
    start = start_with(5)
    blind.reset(options={"start": Start(start.robot_obs, start.scene_state, None)})
    assert blind.layout == FIXED_LAYOUT


def test_last_gripper_action_is_restored(blind):
    start = start_with(5)
    robot = start.robot_obs.copy()
    robot[6], robot[14] = 0.0, -1.0
    observation, _ = blind.reset(options={"start": Start(robot, start.scene_state, start.layout)})
    assert observation["robot_obs"][14] == -1.0
    assert blind.step(np.array([0.0, 0, 0, 0, 0, 0, -1]))[0]["robot_obs"][6] < 0.005


def test_actions_add_up_on_the_target_whatever_the_arm_does(blind):
    blind.reset(options={"start": start_with(6)})
    before = blind.target_pose
    for _ in range(4):
        blind.step(np.array([0.5, 0, -1.0, 0, 0, 0.4, 1]))
    moved = blind.target_pose - before
    np.testing.assert_allclose(moved, [0.04, 0, -0.08, 0, 0, 0.08], atol=1e-12)


def test_a_blocked_arm_winds_its_target_up(blind):
    blind.reset(options={"start": start_with(6)})
    for _ in range(40):
        observation = blind.step(np.array([0.0, 0, -1, 0, 0, 0, 1]))[0]
    assert observation["robot_obs"][2] - blind.target_pose[2] > 0.2


def test_the_arm_follows_its_target(blind):
    observation, _ = blind.reset(options={"start": start_with(6)})
    begin = observation["robot_obs"]
    for _ in range(5):
        blind.step(np.array([0.5, -0.5, 0.5, 0, 0, 0.5, 1]))
    for _ in range(10):
        observation = blind.step(STILL)[0]
    moved = observation["robot_obs"][:3] - begin[:3]
    np.testing.assert_allclose(moved, [0.05, -0.05, 0.05], atol=0.01)


def test_gripper_command_is_binarised_and_opens_and_closes(blind):
    blind.reset(options={"start": start_with(6)})
    for _ in range(10):
        observation = blind.step(np.array([0, 0, 0, 0, 0, 0, -0.1]))[0]
    assert observation["robot_obs"][6] < 0.01
    assert observation["robot_obs"][14] == -1.0
    for _ in range(15):
        observation = blind.step(np.array([0, 0, 0, 0, 0, 0, 0.1]))[0]
    assert observation["robot_obs"][6] > 0.07


@pytest.mark.parametrize(
    ("joint", "limits"),
    [(0, c.SLIDE_LIMITS), (1, c.DRAWER_LIMITS), (2, c.BUTTON_LIMITS), (3, c.SWITCH_LIMITS)],
)
@pytest.mark.parametrize("velocity", [-3.0, 3.0])
def test_joints_cannot_be_pushed_out_of_their_limits(blind, joint, limits, velocity):
    blind.reset(options={"start": start_with(7)})
    furniture = blind._scene.joints[joint]
    for _ in range(8):
        blind._client.setJointMotorControl2(
            blind._scene.table, furniture.joint, 0, targetVelocity=velocity, force=1000.0
        )  # 0: velocity control
        observation = blind.step(STILL)[0]
        assert limits[0] <= observation["scene_obs"][joint] <= limits[1]
    assert observation["scene_obs"][joint] == pytest.approx(limits[int(velocity > 0)], abs=2e-3)


def drive(env, joint, target, steps):
    """Move a piece of furniture by its motor."""
    furniture = env._scene.joints[joint]
    for _ in range(steps):
        env._client.setJointMotorControl2(
            env._scene.table, furniture.joint, 2, targetPosition=target, force=500.0, maxVelocity=0.3
        )  # 2: position control
        observation = env.step(STILL)[0]
    return observation["scene_obs"]


def test_switch_lights_the_bulb_beyond_its_middle(blind):
    blind.reset(options={"start": start_with(8, switch=0.0, bulb=0)})
    assert drive(blind, 3, 0.040, 12)[4] == 0
    assert drive(blind, 3, 0.050, 12)[4] == 1
    assert drive(blind, 3, 0.040, 12)[4] == 0


def test_each_press_of_the_button_toggles_the_led_once(blind):
    blind.reset(options={"start": start_with(8, led=0)})
    states = []
    for target in (0.018, 0.018, 0.0, 0.018, 0.0):
        states.append(drive(blind, 2, target, 8)[5])
    assert states == [1, 1, 1, 0, 0]


def test_the_button_springs_back(blind):
    blind.reset(options={"start": start_with(8, button=0.02)})
    for _ in range(15):
        observation = blind.step(STILL)[0]
    assert observation["scene_obs"][2] < 0.002


def test_a_held_button_and_a_contradicting_light_cause_no_event_on_reset(blind):
    blind.reset(options={"start": start_with(8, button=0.018, led=1, switch=0.08, bulb=0)})
    observation = blind.step(STILL)[0]
    assert observation["scene_obs"][5] == 1
    assert observation["scene_obs"][4] == 0


def test_a_light_of_the_last_episode_does_not_leak_into_the_next(env):
    dark = start_with(8, led=0, bulb=0, switch=0.0)
    expected = env.reset(options={"start": dark})[0]["rgb_obs"]["rgb_static"]
    env.reset(options={"start": start_with(8, led=1, bulb=1, switch=0.08)})
    np.testing.assert_array_equal(env.reset(options={"start": dark})[0]["rgb_obs"]["rgb_static"], expected)


@pytest.mark.parametrize("light", ["led", "bulb"])
def test_lights_are_seen_at_64_pixels_while_the_arm_works_them(light):
    env = PlayTableEnv(SimConfig())
    start = start_with(11)
    layout = Layout.from_array(start.layout)
    above = layout.button_top() if light == "led" else layout.switch_bar(0.05) - np.array([0, 0.04, 0])
    joints = solve_joints(above + np.array([0, 0, 0.03]), np.array([np.pi, 0, np.pi / 2]))
    robot = start.robot_obs.copy()
    robot[7:14] = joints
    images = []
    for on in (0, 1):
        state = start.scene_state.copy()
        state[4 if light == "bulb" else 5] = on
        observation, _ = env.reset(options={"start": Start(robot, state, start.layout)})
        images.append(observation["rgb_obs"]["rgb_static"].astype(int))
    env.close()
    changed = np.abs(images[1] - images[0]).max(axis=-1) > 60
    assert changed.sum() >= 8


def test_furniture_is_seen_to_move(env):
    for name in ("slide", "drawer", "switch"):
        images = []
        for value in (0.0, 0.08):
            start = start_with(12, **{name: value}, bulb=0)
            images.append(env.reset(options={"start": start})[0]["rgb_obs"]["rgb_static"].astype(int))
        assert (np.abs(images[1] - images[0]).max(axis=-1) > 60).sum() >= 3, name


def test_task_success_terminates_and_steps_run_out():
    env = PlayTableEnv(CONFIG, task="open_drawer", max_steps=30, render=False)
    env.reset(options={"start": start_with(9, drawer=0.01)})
    outcomes = []
    for _ in range(30):
        env._client.setJointMotorControl2(
            env._scene.table, env._scene.joints[1].joint, 0, targetVelocity=0.3, force=500.0
        )
        _, reward, terminated, truncated, info = env.step(STILL)
        outcomes.append((reward, terminated, truncated, info["success"]))
        if terminated:
            break
    assert outcomes[-1] == (1.0, True, False, True)
    assert 10 < len(outcomes) < 30
    env.reset(options={"start": start_with(9, drawer=0.01)})
    ends = [env.step(STILL)[2:4] for _ in range(30)]
    assert ends[-1] == (False, True)
    assert ends[-2] == (False, False)
    env.close()


def test_info_has_calvins_shape(blind):
    blind.reset(options={"start": start_with(10, drawer=0.1)})
    observation = blind.step(STILL)[0]
    info = blind.get_info()
    scene = info["scene_info"]
    assert set(scene["fixed_objects"]["table"]["links"]) == {
        "base_link",
        *(f"{part}_link" for part in ("button", "switch", "slide", "drawer", "led", "light", "plank")),
    }
    assert scene["doors"]["base__drawer"]["current_state"] == pytest.approx(0.1)
    assert list(scene["movable_objects"]) == ["block_red", "block_blue", "block_pink"]
    touched = {(contact[2], contact[4]) for contact in scene["movable_objects"]["block_red"]["contacts"]}
    assert (scene["fixed_objects"]["table"]["uid"], -1) in touched
    assert info["robot_info"]["tcp_pos"] == pytest.approx(observation["robot_obs"][:3])


def test_inverse_kinematics_of_starts_agrees_with_the_simulator(blind):
    position, euler = np.array([0.1, -0.2, 0.6]), np.array([3.0, 0.05, 1.4])
    joints = solve_joints(position, euler)
    start = start_with(1)
    robot = start.robot_obs.copy()
    robot[7:14] = joints
    observed = blind.reset(options={"start": Start(robot, start.scene_state, start.layout)})[0]["robot_obs"]
    np.testing.assert_allclose(observed[:3], position, atol=2e-3)
    np.testing.assert_allclose(euler_to_matrix(observed[3:6]), euler_to_matrix(euler), atol=5e-3)


def test_wrong_use_is_named(blind):
    fresh = PlayTableEnv(CONFIG, render=False)
    with pytest.raises(RuntimeError, match="reset"):
        fresh.step(STILL)
    fresh.close()
    with pytest.raises(ValueError, match="begin"):
        blind.reset(options={"begin": 1})
    blind.reset(seed=0)
    with pytest.raises(ValueError, match="7 finite"):
        blind.step(np.full(7, np.nan))
    with pytest.raises(ValueError, match="open_drawer"):
        PlayTableEnv(CONFIG, task="open_drawr")
