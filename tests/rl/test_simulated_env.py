"""The simulator as an environment: what it counts and sends; an episode against evaluation's own."""

import numpy as np
import pytest
import torch
from toy_world import tiny_world_model

from wam.episodes.proprio import proprio_from_robot_obs
from wam.evaluation.agent import WorldModelAgent
from wam.evaluation.rollout import rollout
from wam.rl.simulated_env import SimulatedEnv
from wam.seeding import numpy_generator, torch_generator
from wam.sim.config import SimConfig
from wam.sim.expert_runs import run_expert
from wam.sim.pool import SimPool
from wam.sim.starts import sample_start

TASK = "open_drawer"


def make_env(tables, **changes):
    page = {"num_envs": 3, "episode_steps": 16, "act_steps": 4, "start_repeats": 2}
    noises = {
        "generator": torch.Generator().manual_seed(0),
        "noise": torch.Generator().manual_seed(1),
    }
    return SimulatedEnv(tables.pool, tables.starts, TASK, tables.model, **(page | noises | changes))


def chunks(*push: float, gripper: float = 1.0) -> torch.Tensor:
    action = torch.zeros(len(push), 4, 7)
    action[..., 0] = torch.tensor(push)[:, None]
    action[..., -1] = gripper
    return action


def test_control_steps_are_counted_until_success(tables):
    env = make_env(tables)
    env.reset()
    assert env.real_steps == 0
    env.step(chunks(1.0, 0.0, 0.5))
    assert env.real_steps == 12
    env.step(chunks(1.0, 0.0, 0.5))  # seven full pushes of 2 cm open it: three of four are taken
    assert env.real_steps == 12 + 3 + 4 + 4
    assert tables.pool.moved[-1] == 2


def test_only_ended_tables_restart_and_at_the_reported_start(tables):
    env = make_env(tables)
    env.reset(options={"rows": torch.tensor([4, 5, 6])})
    for _ in range(2):
        info = env.step(chunks(1.0, 0.0, 1.0))[-1]
    assert tables.pool.restarted == [[0, 2]]
    for table in (0, 2):
        start = tables.starts[int(info["start_row"][table])]
        np.testing.assert_array_equal(tables.pool.scene[table], start.scene_state)
    np.testing.assert_array_equal(tables.pool.scene[1], tables.starts[5].scene_state)
    env.step(chunks(1.0, 1.0, 1.0))
    terminated = env.step(chunks(1.0, 1.0, 1.0))[2]
    assert terminated.all(), "success counts from the new start"


def test_what_is_shown_of_the_arm_is_measured_also_where_an_episode_ends_and_the_next_begins(tables):
    low, high = np.linspace(-2, -1, 18), np.linspace(2, 4, 18)
    tables.model.proprio_normalizer.set_bounds_(low, high)
    env = make_env(tables, sees="features_and_proprio")
    env.reset(options={"rows": torch.tensor([4, 5, 6])})
    for _ in range(2):
        shown, _, terminated, _, info = env.step(chunks(1.0, 0.0, 1.0))
    assert terminated.tolist() == [True, False, True]
    for table in range(3):
        begun = tables.starts[int(info["start_row"][table]) if terminated[table] else 5].scene_state[1]
        ended = tables.starts[4 + table].scene_state[1] + 0.02 * (7 if terminated[table] else 0)
        for vector, opened in ((shown, begun), (info["final_obs"], ended)):
            robot = np.zeros(15)
            robot[0] = opened  # so the toy tables show it
            by_hand = (proprio_from_robot_obs(robot) - low) / (high - low)
            got = vector[table, tables.model.feat_dim :].numpy()
            np.testing.assert_allclose(got, by_hand, atol=1e-5)


def test_the_robot_gets_executable_actions(tables):
    env = make_env(tables)
    env.reset()
    env.step(chunks(1.7, -1.7, 0.3, gripper=-0.2))
    np.testing.assert_allclose(tables.pool.sent[0][:, 0], [1.0, -1.0, 0.3])
    np.testing.assert_array_equal(tables.pool.sent[0][:, 6], -1.0)


def test_the_filter_is_told_what_was_executed_or_the_policys_own_numbers(tables):
    feats = {}
    for told in ("executed", "policy"):
        for gripper in (0.2, 1.0):
            env = make_env(tables, prev_action=told)
            env.reset()
            feats[told, gripper] = env.step(chunks(0.1, 0.1, 0.1, gripper=gripper))[0]
    assert torch.equal(feats["executed", 0.2], feats["executed", 1.0])
    assert not torch.equal(feats["policy", 0.2], feats["policy", 1.0])


def test_no_starts_and_unknown_tasks_are_refused(tables):
    with pytest.raises(ValueError, match="open_drawer"):
        SimulatedEnv(
            tables.pool,
            tables.starts,
            "open_draw",
            tables.model,
            num_envs=1,
            episode_steps=8,
            act_steps=4,
            start_repeats=1,
            generator=torch.Generator(),
            noise=torch.Generator(),
        )
    tables.starts = []
    with pytest.raises(ValueError, match="no start states"):
        make_env(tables)


class Replay:
    """An expert's recorded motion, disturbed a little by features and noise, so that both must be right."""

    sees = "features"

    def __init__(self, commands):
        self.commands = np.concatenate([commands, np.zeros((80, 7))])
        self.decision = 0
        self.given = []

    def sample(self, cond, *, generator, deterministic):
        assert deterministic
        chunk = torch.from_numpy(self.commands[4 * self.decision : 4 * self.decision + 4]).float()[None]
        self.decision += 1
        noise = torch.randn(1, 4, 7, generator=generator)
        self.given.append(chunk + 0.02 * noise + 0.02 * torch.tanh(cond[:, None, :7]))
        return self.given[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "solved"), [("full", True), ("short", False)])
def test_an_episode_is_that_of_evaluation(variant, solved):
    config, seed = SimConfig(), 3
    start = sample_start(config, numpy_generator(1, "episode"), TASK)
    commands = run_expert(config, start, TASK, seed=0, variant=variant).commands
    model = tiny_world_model()
    page = {"act_steps": 4, "start_repeats": 2}
    with SimPool(config, workers=0) as pool:
        reference = Replay(commands)
        result = rollout(pool, [start], TASK, WorldModelAgent(model, reference, seed=seed, **page))
        noise = torch_generator(seed, "world_model_agent")
        draws = {"generator": torch.Generator(), "noise": noise}
        env = SimulatedEnv(pool, [start], TASK, model, num_envs=1, episode_steps=72, **page, **draws)
        policy, (feat, _), ended = Replay(commands), env.reset(), False
        while not ended:
            chunk = policy.sample(feat, generator=noise, deterministic=True)
            steps = env.real_steps
            feat, _, terminated, truncated, _ = env.step(chunk)
            ended = bool(terminated | truncated)
    assert bool(terminated) == bool(result.success[0]) == solved
    assert env.real_steps == int(result.steps[0])
    assert env.real_steps > steps
    assert all(torch.equal(*pair) for pair in zip(policy.given, reference.given, strict=True))
