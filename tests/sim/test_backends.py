"""One contract for every play table: our own, ours with CALVIN's assets, the official one."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from wam.sim.backends import make_table
from wam.sim.calvin_backend import CalvinTableEnv
from wam.sim.calvin_package import CalvinEnvMissingError
from wam.sim.client import Client, NoOpenGLError
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.sim.starts import sample_start
from wam.tasks.oracle import tasks_done

SIZES = {"image_size_static": 16, "image_size_gripper": 16}
KINDS = (
    "varied",
    "fixed",
    pytest.param("calvin assets", marks=pytest.mark.slow),
    pytest.param("official", marks=pytest.mark.slow),
)


@pytest.fixture(scope="module", params=KINDS)
def config(request):
    """Every kind of table; those that need the user's folders are skipped without them."""
    if request.param in ("varied", "fixed"):
        return SimConfig(layout=request.param, **SIZES)
    assets = request.getfixturevalue("calvin_assets")
    page = {"assets": "calvin", "layout": "fixed", "calvin_data": assets, **SIZES}
    if request.param == "official":
        page |= {"backend": "calvin", "calvin_env": request.getfixturevalue("calvin_env_folder")}
    return SimConfig(**page)


@pytest.fixture(scope="module")
def table(config):
    table = make_table(config, render=False)
    yield table
    table.close()


def start_of(config, seed=0):
    return sample_start(config, np.random.default_rng(seed))


def actions(seed, steps=15):
    drawn = np.random.default_rng(seed).uniform(-1, 1, (steps, 7))
    drawn[:, 2] = -np.abs(drawn[:, 2])
    return drawn


def states(table, start, commands):
    seen = [table.reset(options={"start": start})[0]]
    seen += [table.step(command)[0] for command in commands]
    return np.array([np.concatenate([o["robot_obs"], o["scene_obs"]]) for o in seen])


def test_observations_are_calvins(config, table):
    table.rendering = True
    observation, info = table.reset(options={"start": start_of(config)})
    table.rendering = False
    assert observation["robot_obs"].shape == (15,)
    assert observation["scene_obs"].shape == (24,)
    assert {name: image.shape for name, image in observation["rgb_obs"].items()} == {
        "rgb_static": (16, 16, 3),
        "rgb_gripper": (16, 16, 3),
    }
    assert all(image.dtype == np.uint8 for image in observation["rgb_obs"].values())
    assert table.observation_space["scene_obs"].contains(observation["scene_obs"])
    assert info["start"] == start_of(config)


def test_a_reset_takes_on_the_start(config, table):
    start = start_of(config, 1)
    observation, _ = table.reset(options={"start": start})
    np.testing.assert_allclose(observation["robot_obs"][7:14], start.robot_obs[7:14], atol=1e-3)
    assert observation["robot_obs"][14] == start.robot_obs[14]
    np.testing.assert_allclose(observation["scene_obs"], start.scene_state, atol=2e-2)


def test_a_start_gives_the_same_bits_after_any_history(config, table):
    first = states(table, start_of(config, 1), actions(1))
    states(table, start_of(config, 2), actions(2))
    np.testing.assert_array_equal(states(table, start_of(config, 1), actions(1)), first)


def test_a_second_table_does_not_disturb_the_first(config, table):
    alone = states(table, start_of(config, 1), actions(1))
    other = make_table(config, render=False)
    other.reset(options={"start": start_of(config, 2)})
    table.reset(options={"start": start_of(config, 1)})
    for row, (mine, its) in enumerate(zip(actions(1), actions(2), strict=True), 1):
        observation = table.step(mine)[0]
        other.step(its)
        np.testing.assert_array_equal(observation["robot_obs"], alone[row, :15])
    other.close()
    np.testing.assert_array_equal(states(table, start_of(config, 1), actions(1)), alone)


def test_relative_actions_add_up_on_the_target(config, table):
    table.reset(options={"start": start_of(config)})
    before = table.target_pose
    for _ in range(3):
        table.step(np.array([1.0, -2.0, 0, 0, 0, 0.5, -1]))
    np.testing.assert_allclose(table.target_pose - before, [0.06, -0.06, 0, 0, 0, 0.075], atol=1e-12)


def test_the_oracle_can_judge_what_the_table_describes(config, table):
    table.reset(options={"start": start_of(config)})
    moment = table.get_info()
    assert tasks_done(moment, moment) == set()


@pytest.mark.parametrize("action", [np.zeros(6), np.full(7, np.nan)])
def test_bad_actions_are_refused(config, table, action):
    table.reset(options={"start": start_of(config)})
    with pytest.raises(ValueError, match="7 finite numbers"):
        table.step(action)


def test_a_pool_of_tables_plays_what_one_plays(config, table):
    truth = states(table, start_of(config, 1), actions(1, 3))
    with SimPool(config, workers=0) as pool:
        pool.reset([start_of(config, 2), start_of(config, 1)], render=False)
        for action in actions(1, 3):
            frames = pool.step(np.stack([-action, action]), active=np.ones(2, bool), render=False)
    np.testing.assert_array_equal(frames.robot_obs[1], truth[-1, :15])
    assert (frames.solved is None) == (config.backend == "own")


@pytest.mark.slow
def test_the_official_table_refuses_what_is_not_its_own(calvin_assets, calvin_env_folder):
    page = SimConfig(
        backend="calvin",
        assets="calvin",
        layout="fixed",
        calvin_data=calvin_assets,
        calvin_env=calvin_env_folder,
    )
    table = CalvinTableEnv(page, render=False)
    with pytest.raises(RuntimeError, match="call reset"):
        table.step(np.zeros(7))
    with pytest.raises(ValueError, match="one table"):
        table.reset(options={"start": start_of(SimConfig())})
    table.close()
    table.close()


def test_the_backend_is_one_setting_among_those_that_fit():
    with pytest.raises(ValidationError, match="set assets to 'calvin'"):
        SimConfig(backend="calvin")
    with pytest.raises(ValidationError, match="renderer 'tiny'"):
        SimConfig(renderer="egl")
    with pytest.raises(ValidationError, match="needs calvin_data"):
        SimConfig(assets="calvin", layout="fixed")
    checkout = SimConfig(
        backend="calvin", assets="calvin", layout="fixed", renderer="egl", calvin_env="there"
    )
    assert replace(checkout, backend="own").calvin_folder == Path("there/data")
    assert SimConfig(backend="calvin", assets="calvin", layout="fixed").calvin_data is None


@pytest.mark.slow
def test_opengl_draws_the_same_in_both_simulators(calvin_env_folder):
    page = {"assets": "calvin", "layout": "fixed", "calvin_env": calvin_env_folder, "renderer": "egl"}
    seen = []
    for backend in ("calvin", "own"):
        try:
            table = make_table(SimConfig(backend=backend, **page, **SIZES), render=True)
        except NoOpenGLError as error:
            pytest.skip(str(error))
        frames = [table.reset(options={"start": start_of(table.config)})[0]]
        frames += [table.step(action)[0] for action in actions(1, 5)]
        seen.append([frame["rgb_obs"] for frame in frames])
        table.close()
    for theirs, ours in zip(*seen, strict=True):
        for name, image in theirs.items():
            assert len(np.unique(image)) > 20
            np.testing.assert_array_equal(image, ours[name])


def test_opening_a_client_prints_nothing(capfd):
    Client().close()
    assert capfd.readouterr().out == ""


def test_without_opengl_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NoOpenGLError, match=r"set simulator\.renderer to 'tiny'"):
        Client(opengl=64)


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CalvinEnvMissingError, match=r"clone https.*simulator.calvin_env.*pip install"):
        make_table(SimConfig(backend="calvin", assets="calvin", layout="fixed"))
    page = SimConfig(backend="calvin", assets="calvin", layout="fixed", calvin_env=str(tmp_path))
    with pytest.raises(CalvinEnvMissingError, match="is not a checkout of calvin_env"):
        make_table(page)


def test_a_missing_dependency_is_named_and_stand_ins_are_gone(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "calvin_env"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "calvin_env" / "envs").mkdir(parents=True)
    (tmp_path / "conf" / "scene").mkdir(parents=True)
    (tmp_path / "conf" / "scene" / "calvin_scene_D.yaml").touch()
    (tmp_path / "calvin_env" / "__init__.py").touch()
    (tmp_path / "calvin_env" / "envs" / "__init__.py").touch()
    (tmp_path / "calvin_env" / "envs" / "play_table_env.py").write_text("import gym\nimport not_there\n")
    page = SimConfig(backend="calvin", assets="calvin", layout="fixed", calvin_env=str(tmp_path))
    with pytest.raises(CalvinEnvMissingError, match=r"needs the package not_there.*pip install"):
        make_table(page)
    assert "gym" not in sys.modules
    for name in [name for name in sys.modules if name.partition(".")[0] == "calvin_env"]:
        monkeypatch.delitem(sys.modules, name)
