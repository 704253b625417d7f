import numpy as np
import pytest
import torch
from toy_world import CARRIED, tiny_world_model

from wam.episodes.proprio import proprio_from_robot_obs
from wam.evaluation.agent import RandomAgent, StateAgent, WorldModelAgent
from wam.evaluation.rollout import make_evaluator, rollout
from wam.sim.frames import SimFrames


class FeaturePolicy:
    """Acts by the first values of the feature, so that whatever the filter does shows in the actions."""

    sees = "features"

    def sample(self, cond, *, generator, deterministic):
        assert deterministic
        noise = torch.randn(len(cond), 4, 7, generator=generator)
        return torch.tanh(cond[:, None, :7] + noise)


@pytest.fixture(params=CARRIED.values(), ids=CARRIED)
def world_model(request):
    return tiny_world_model(**request.param)


def make_frames(rng, count):
    image = rng.integers(0, 256, (2, count, 64, 64, 3), np.uint8)
    return SimFrames(image[0], image[1], rng.normal(size=(count, 15)), np.zeros((count, 24)))


def agent_of(world_model, **settings):
    return WorldModelAgent(
        world_model, FeaturePolicy(), **({"act_steps": 4, "start_repeats": 2, "seed": 5} | settings)
    )


def drive(agent, frames, actions, active):
    agent.reset(frames[0])
    first = agent.act()
    for frame, action, running in zip(frames[1:], actions, active, strict=True):
        agent.observe(frame, action, running)
    return first, agent.act()


def test_an_episode_repeats_to_the_bit(world_model):
    rng = np.random.default_rng(0)
    frames = [make_frames(rng, 3) for _ in range(3)]
    actions = list(rng.uniform(-1, 1, (2, 3, 7)).astype(np.float32))
    active = [np.ones(3, np.bool_)] * 2
    agent = agent_of(world_model)
    first = drive(agent, frames, actions, active)
    again = drive(agent, frames, actions, active)
    np.testing.assert_array_equal(np.stack(first), np.stack(again))


def test_a_start_does_not_feel_that_others_ended(world_model):
    rng = np.random.default_rng(1)
    frames = [make_frames(rng, 3) for _ in range(3)]
    actions = list(rng.uniform(-1, 1, (2, 3, 7)).astype(np.float32))
    everyone, two = [np.ones(3, np.bool_)] * 2, [np.array([True, False, True])] * 2
    whole = drive(agent_of(world_model), frames, actions, everyone)[1]
    partly = drive(agent_of(world_model), frames, actions, two)[1]
    np.testing.assert_allclose(partly[[0, 2]], whole[[0, 2]], atol=1e-5)
    assert np.abs(partly[1] - whole[1]).max() > 1e-3


def test_the_executed_action_reaches_the_filter(world_model):
    rng = np.random.default_rng(2)
    frames = [make_frames(rng, 2) for _ in range(2)]
    everyone = [np.ones(2, np.bool_)]
    one = drive(agent_of(world_model), frames, [np.zeros((2, 7), np.float32)], everyone)[1]
    other = drive(agent_of(world_model), frames, [np.ones((2, 7), np.float32)], everyone)[1]
    assert np.abs(one - other).max() > 1e-6


def test_the_policys_own_action_may_reach_the_filter_instead(world_model):
    rng = np.random.default_rng(2)
    frames = [make_frames(rng, 2) for _ in range(3)]
    everyone = [np.ones(2, np.bool_)] * 2
    acts = []
    for sent in (np.zeros((2, 7), np.float32), np.ones((2, 7), np.float32)):
        acts.append(drive(agent_of(world_model, prev_action="policy"), frames, [sent] * 2, everyone))
    np.testing.assert_array_equal(acts[0][1], acts[1][1])
    first = acts[0][0]
    own = drive(agent_of(world_model), frames, [first[:, 0], first[:, 1]], everyone)[1]
    np.testing.assert_array_equal(own, acts[0][1])


def test_the_filter_is_the_models_own(world_model):
    rng = np.random.default_rng(3)
    frames = [make_frames(rng, 2) for _ in range(2)]
    action = rng.uniform(-1, 1, (2, 7)).astype(np.float32)
    agent = agent_of(world_model)
    agent.reset(frames[0])
    generator, state = agent._generator.clone_state(), agent._filter.state
    agent.observe(frames[1], action, np.ones(2, np.bool_))
    embed = world_model.embed(agent._filter.batch(frames[1], np.arange(2)))[:, None]
    goes_on = torch.zeros(2, 1, dtype=torch.bool)
    expected = world_model.observe(embed, torch.from_numpy(action)[:, None], goes_on, state, generator)
    torch.testing.assert_close(agent.feat, expected.feat[:, 0])


def test_frames_without_pictures_are_refused(world_model):
    with pytest.raises(ValueError, match="render=True"):
        agent_of(world_model).reset(SimFrames(None, None, np.zeros((1, 15)), np.zeros((1, 24))))


def test_larger_pictures_are_resized(world_model):
    image = np.zeros((1, 100, 100, 3), np.uint8)
    agent = agent_of(world_model)
    agent.reset(SimFrames(image, image, np.zeros((1, 15)), np.zeros((1, 24))))
    assert agent.act().shape == (1, 4, 7)


class Watcher:
    """Keeps what it is shown."""

    def __init__(self, sees):
        self.sees = sees
        self.shown = []

    def sample(self, cond, **_):
        self.shown.append(cond)
        return torch.zeros(len(cond), 4, 7)


def test_a_policy_is_shown_what_it_sees(world_model):
    rng = np.random.default_rng(4)
    frames = [make_frames(rng, 3) for _ in range(2)]
    low, high = rng.normal(size=18) - 3, rng.normal(size=18) + 3
    world_model.proprio_normalizer.set_bounds_(low, high)
    shown = {}
    for sees in ("features", "features_and_proprio"):
        policy = Watcher(sees)
        agent = WorldModelAgent(world_model, policy, act_steps=4, start_repeats=2, seed=5)
        drive(agent, frames, [np.zeros((3, 7), np.float32)], [np.array([True, False, True])])
        shown[sees] = policy.shown
    for alone, both in zip(*shown.values(), strict=True):
        assert torch.equal(both[:, : world_model.feat_dim], alone)
    for row, number in ((0, 1), (1, 0), (2, 1)):  # the second start had ended: it still shows its first frame
        measured = proprio_from_robot_obs(frames[number].robot_obs[row])
        by_hand = [(value - a) / (b - a) for value, a, b in zip(measured, low, high, strict=True)]
        got = shown["features_and_proprio"][-1][row, world_model.feat_dim :]
        np.testing.assert_allclose(got.numpy(), by_hand, rtol=1e-4, atol=1e-5)


def test_the_evaluator_repeats(world_model, pool, closed_drawers):
    evaluate = make_evaluator(
        pool, closed_drawers, "open_drawer", world_model, act_steps=4, start_repeats=1, seed=0, max_steps=8
    )
    first = evaluate(FeaturePolicy())
    assert first == evaluate(FeaturePolicy())
    assert set(first) == {"success", "steps"}


def test_a_state_agent_acts_on_the_newest_frames():
    class Echo:
        def sample(self, cond, **_):
            return cond[:, None, :7].repeat(1, 4, 1)

    agent = StateAgent(Echo(), lambda frames: frames.robot_obs.astype(np.float32), act_steps=2, seed=0)
    agent.reset(SimFrames(None, None, np.zeros((2, 15)), np.zeros((2, 24))))
    agent.observe(
        SimFrames(None, None, np.ones((2, 15)), np.zeros((2, 24))), np.zeros((2, 7)), np.ones(2, bool)
    )
    np.testing.assert_array_equal(agent.act(), np.ones((2, 2, 7), np.float32))


def test_random_actions_are_held_and_repeat(pool, closed_drawers):
    agent = RandomAgent(act_steps=4, seed=1)
    rollout(pool, closed_drawers, "open_drawer", agent, max_steps=8)
    first = [actions for actions, *_ in pool.steps]
    np.testing.assert_array_equal(first[0], first[3])
    assert np.abs(first[0] - first[4]).max() > 0.01
    rollout(pool, closed_drawers, "open_drawer", agent, max_steps=8)
    np.testing.assert_array_equal(first[0], pool.steps[0][0])
