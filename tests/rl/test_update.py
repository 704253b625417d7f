import pytest
import torch
from pydantic import ValidationError
from recorded import Operations

from wam.rl.buffer import collect
from wam.rl.imagined_env import ImaginedEnv
from wam.rl.samples import minibatches, score
from wam.rl.update import make_learner
from wam.training.captured import PLAIN_CALLS, Captured


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_rollouts(world, learner, decisions: int = 4):
    env = ImaginedEnv(
        world.model,
        world.classifier,
        world.starts,
        num_envs=6,
        imagine_steps=16,
        act_steps=4,
        generator=generator(),
    )
    return collect(env, learner.explore, decisions=decisions, generator=generator())


def test_replayed_exploration_draws_the_same_chains_while_the_actor_learns(world):
    plain, replayed = (make_learner(world.policy(), world.config(), 0) for _ in range(2))
    replayed._replayed = Captured(replayed._chain, "exploration", Operations())
    rollouts = []
    for _ in range(2):
        for learner in (plain, replayed):
            rollouts.append(make_rollouts(world, learner, decisions=PLAIN_CALLS + 2))
            learner.update(rollouts[-1], generator())
    assert replayed._replayed.recorded
    for want, got in zip(rollouts[::2], rollouts[1::2], strict=True):
        torch.testing.assert_close(got.actions, want.actions, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(got.mean, want.mean, rtol=1e-5, atol=1e-6)
    assert not torch.equal(rollouts[0].mean, rollouts[2].mean), "the actor has learned"


def weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])


def test_rollouts_are_chained_decisions(world):
    learner = make_learner(world.policy(), world.config(), 0)
    rollouts = make_rollouts(world, learner, decisions=9)
    assert rollouts.actions.shape == (6, 9, 11, 4, 7)
    assert rollouts.mean.shape == (6, 9, 10, 4, 7)
    goes_on = ~rollouts.ended[:, :-1]
    assert torch.equal(rollouts.next_cond[:, :-1][goes_on], rollouts.cond[:, 1:][goes_on])
    assert not torch.equal(rollouts.next_cond[:, :-1][~goes_on], rollouts.cond[:, 1:][~goes_on])
    assert torch.equal(rollouts.reward.bool(), rollouts.terminated)


def test_minibatches_cover_every_transition_once():
    parts = minibatches(7, 5, 10, generator())
    seen = torch.cat([part.decision * 5 + part.index for part in parts])
    assert len(parts) == 3
    assert sorted(seen.tolist()) == list(range(35))
    for part in parts:
        assert torch.equal(part.distinct[part.place], part.decision)
        assert part.share.sum().item() == pytest.approx(1)
    assert minibatches(7, 5, 18, generator())[0].whole


def test_gathered_scores_equal_broadcast_ones(world):
    learner = make_learner(world.policy(), world.config(), 0)
    rollouts = make_rollouts(world, learner)
    chain, cond = rollouts.flat_chain, rollouts.flat_cond
    whole = minibatches(24, 10, 1000, generator())[0]
    expected = score(learner.actor, learner.actor.project(cond), chain, whole, 0.1)
    torch.testing.assert_close(expected.log_prob, learner.actor.log_prob(chain, cond, 0.1).flatten(0, 1))
    for part in minibatches(24, 10, 50, generator()):
        got = score(learner.actor, learner.actor.project(cond[part.distinct]), chain, part, 0.1)
        rows = part.decision * 10 + part.index
        torch.testing.assert_close(got.log_prob, expected.log_prob[rows], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(got.mean, expected.mean[rows])


def test_first_step_sees_ratio_one(world):
    config = world.config(update_epochs=1, normalize_advantage=False, gamma_denoising=1.0)
    learner = make_learner(world.policy(), config, 0)
    rollouts = make_rollouts(world, learner)
    advantage = learner.targets(rollouts).advantage
    learner = make_learner(world.policy(), config, 0)
    metrics = learner.update(rollouts, generator())
    assert metrics["approx_kl"] == pytest.approx(0, abs=1e-6)
    assert metrics["policy_loss"] == pytest.approx(-advantage.mean().item(), abs=1e-4)


@pytest.mark.parametrize("train_actor", [True, False])
def test_gradients_stop_where_they_must(world, train_actor):
    learner = make_learner(world.policy(), world.config(bc_coef=0.1), 0)
    rollouts = make_rollouts(world, learner)
    parts = {"actor": learner.actor, "base": learner.base, "critic": learner.critic, "world": world.model}
    before = {name: weights(part) for name, part in parts.items()}
    learner.update(rollouts, generator(), train_actor=train_actor)
    moved = {name: not torch.equal(weights(part), before[name]) for name, part in parts.items()}
    assert moved == {"actor": train_actor, "base": False, "critic": True, "world": False}
    assert torch.equal(learner.actor.standardizer.mean, learner.critic.standardizer.mean)


def test_update_leaves_the_rollouts_alone(world):
    learner = make_learner(world.policy(), world.config(bc_coef=0.1), 0)
    rollouts = make_rollouts(world, learner)
    before = {name: getattr(rollouts, name).clone() for name in rollouts.__dataclass_fields__}
    learner.update(rollouts, generator())
    assert all(torch.equal(getattr(rollouts, name), value) for name, value in before.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bc_draws": "row", "minibatch": 100},
        {"bc_draws": "iteration", "bc_fraction": 0.3},
        {"bc_direction": "reverse", "minibatch": 100},
    ],
)
def test_strong_regulariser_keeps_the_actor_at_the_base(world, settings):
    distances = []
    for coef in (0.0, 30.0):
        config = world.config(
            bc_coef=coef, envs=3, update_epochs=12, clip_coef=1.0, target_kl=None, **settings
        )
        learner = make_learner(world.policy(), config, 0)
        rollouts = make_rollouts(world, learner)
        metrics = learner.update(rollouts, generator())
        chain, cond = rollouts.flat_chain, rollouts.flat_cond
        with torch.no_grad():
            means = [p.log_prob(chain, cond, 0.1).mean() for p in (learner.actor, learner.base)]
        distances.append(abs(float(means[0] - means[1])))
    assert distances[1] < distances[0]
    assert metrics["bc_loss"] != 0


def test_passes_stop_at_the_target_kl(world):
    config = world.config(update_epochs=50, actor_learning_rate=0.05, target_kl=1e-3)
    learner = make_learner(world.policy(), config, 0)
    assert learner.update(make_rollouts(world, learner), generator())["epochs"] < 50


def test_a_loss_that_is_not_finite_stops(world):
    learner = make_learner(world.policy(), world.config(), 0)
    rollouts = make_rollouts(world, learner)
    with torch.no_grad():
        learner.critic.trunk.output.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower actor_learning_rate"):
        learner.update(rollouts, generator())


def test_settings_that_cannot_be_meant(world):
    with pytest.raises(ValidationError, match="must rise"):
        world.config(logprob_clamp=(2, -5))
    with pytest.raises(ValidationError, match="swap them"):
        world.config(clip_base=0.1)
    with pytest.raises(ValidationError, match="horizon"):
        world.config(horizon=3)
