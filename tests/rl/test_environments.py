"""What imagined and simulated environments have in common, so that one PPO can learn in both."""

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorEnv

from wam.rl.buffer import collect
from wam.rl.imagined_env import ImaginedEnv
from wam.rl.simulated_env import SimulatedEnv
from wam.rl.update import make_learner


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chunks(value: float | list[float], envs: int = 5) -> torch.Tensor:
    """Pushes by ``value`` everywhere, or by environment."""
    action = torch.zeros(envs, 4, 7)
    action[..., 0] = torch.tensor(value)[..., None] if isinstance(value, list) else value
    action[..., -1] = 1.0
    return action


HARD = torch.full((5,), 19)
"""Starts from which a full push solves the task in the second decision, in both worlds."""


@pytest.fixture(params=["features", "features_and_proprio"])
def sees(request):
    return request.param


@pytest.fixture(params=["imagined", "simulated"])
def make(request, world, tables, sees):
    """``make(steps, envs)``: an environment of either kind with episodes of so many control steps."""
    arm = torch.randn(world.feat, 18, generator=generator(2))

    def decoded(feat):
        return torch.cat((feat, feat @ arm), -1)

    def imagined(steps=16, envs=5):
        page = {"num_envs": envs, "imagine_steps": steps, "act_steps": 4, "generator": generator()}
        page |= {} if sees == "features" else {"sight": decoded}
        return ImaginedEnv(world.model, world.classifier, world.starts, **page)

    def simulated(steps=16, envs=5):
        page = {"num_envs": envs, "episode_steps": steps, "act_steps": 4, "start_repeats": 2, "sees": sees}
        noises = {"generator": generator(), "noise": generator(1)}
        return SimulatedEnv(tables.pool, tables.starts, "open_drawer", tables.model, **page, **noises)

    return {"imagined": imagined, "simulated": simulated}[request.param]


def test_five_returns_with_shapes_and_types(make, world, tables, sees):
    env = make()
    feats = world.feat if isinstance(env, ImaginedEnv) else tables.model.feat_dim
    assert isinstance(env, VectorEnv)
    feat, info = env.reset()
    assert info == {}
    assert feat.shape == env.observation_space.shape
    assert feat.shape[1] - feats == (0 if sees == "features" else 18)
    width = env.single_observation_space.shape[0]
    feat, reward, terminated, truncated, info = env.step(chunks(0.0))
    assert feat.shape == info["final_obs"].shape == (5, width)
    assert reward.shape == terminated.shape == truncated.shape == (5,)
    assert (terminated.dtype, truncated.dtype, reward.dtype) == (torch.bool, torch.bool, torch.float32)
    assert not feat.requires_grad


def test_truncated_at_the_last_step_and_not_before(make):
    env = make()
    env.reset()
    flags = [env.step(chunks(0.0))[3].tolist() for _ in range(8)]
    assert flags == ([[False] * 5] * 3 + [[True] * 5]) * 2


def test_success_terminates_and_never_truncates(make):
    env = make()
    env.reset(options={"rows": HARD})
    outcomes = []
    for _ in range(3):
        _, reward, terminated, truncated, _ = env.step(chunks(1.0))
        outcomes.append((terminated.tolist(), truncated.tolist(), reward.tolist()))
    assert outcomes[0] == ([False] * 5, [False] * 5, [0.0] * 5)
    assert outcomes[1] == ([True] * 5, [False] * 5, [1.0] * 5)
    assert outcomes[2][0] == [False] * 5


def test_success_in_the_last_allowed_decision_is_terminated(make):
    env = make(steps=8)
    env.reset(options={"rows": HARD})
    env.step(chunks(1.0))
    _, _, terminated, truncated, _ = env.step(chunks(1.0))
    assert terminated.all()
    assert not truncated.any()


def test_ended_environments_restart_and_report_where_they_ended(make):
    env = make()
    env.reset(options={"rows": HARD})
    push = [0.0, 0.0, 1.0, 1.0, 1.0]
    env.step(chunks(push))
    feat, _, terminated, _, info = env.step(chunks(push))
    assert terminated.tolist() == [False, False, True, True, True]
    assert torch.equal(info["_final_obs"], terminated)
    assert torch.equal(feat[~terminated], info["final_obs"][~terminated])
    assert (feat[terminated] != info["final_obs"][terminated]).any(1).all()
    rows = info["start_row"]
    assert (rows[~terminated] == -1).all()
    assert ((rows[terminated] >= 0) & (rows[terminated] < 20)).all()
    for _ in range(2):
        truncated = env.step(chunks(0.0))[3]
    assert truncated.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("kind", [int, np.int64])
def test_same_seed_same_episodes(make, kind):
    runs = []
    for _ in range(2):
        env = make()
        torch.randint(9, (3,), generator=env.generator)  # what was drawn before does not count
        feats = [env.reset(seed=kind(7))[0]] + [env.step(chunks(0.5))[0] for _ in range(9)]
        runs.append(torch.stack(feats))
    assert torch.equal(*runs)


def test_chunks_are_not_changed(make):
    env = make()
    env.reset()
    action = chunks(1.7)
    before = action.clone()
    env.step(action)
    assert torch.equal(action, before)


def test_misuse_is_named(make):
    with pytest.raises(ValueError, match=r"imagine_steps 70 is not a multiple of act_steps 4.*to 68"):
        make(steps=70)
    env = make()
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(chunks(0.0))
    env.reset()
    with pytest.raises(TypeError, match="give one seed, not 5"):
        env.reset(seed=[0, 1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"expected \(5, 4, A\)"):
        env.step(chunks(0.0, envs=4))


@pytest.mark.slow
def test_experience_is_collected_and_learned_from_alike(make, world, sees):
    env = make(envs=6)
    policy = world.policy(cond_dim=env.single_observation_space.shape[0], sees=sees)
    learner = make_learner(policy, world.config(), 0)
    rollouts = collect(env, learner.explore, decisions=9, generator=generator())
    goes_on = ~rollouts.ended[:, :-1]
    assert torch.equal(rollouts.next_cond[:, :-1][goes_on], rollouts.cond[:, 1:][goes_on])
    assert torch.equal(rollouts.reward.bool(), rollouts.terminated)
    metrics = learner.update(rollouts, generator())
    assert metrics["value_loss"] > 0
