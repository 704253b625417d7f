import itertools
import math

import pytest
import torch

from wam.rl.gae import gae
from wam.rl.losses import clamped_log_prob, clip_schedule, denoising_discount, normalized, policy_loss
from wam.rl.regularizer import reverse_loss
from wam.rl.reward_scaling import RewardScaler

GAMMA, LAMBDA = 0.9, 0.8


def reference_gae(reward, value, next_value, terminated, truncated):
    """O(T^2): every advantage as its own sum of discounted deltas up to its episode's end."""
    steps = len(reward)
    advantage = []
    for t in range(steps):
        total = 0.0
        for ahead in range(t, steps):
            following = 0.0 if terminated[ahead] else GAMMA * next_value[ahead]
            total += (GAMMA * LAMBDA) ** (ahead - t) * (reward[ahead] + following - value[ahead])
            if terminated[ahead] or truncated[ahead]:
                break
        advantage.append(total)
    return torch.tensor(advantage)


def test_gae_against_the_slow_reference_with_every_mix_of_ends():
    generator = torch.Generator().manual_seed(0)
    mixes = list(itertools.product(("on", "terminated", "truncated"), repeat=4))
    reward, value, next_value = (torch.randn(len(mixes), 4, generator=generator) for _ in range(3))
    terminated, truncated = (
        torch.tensor([[end == kind for end in mix] for mix in mixes]) for kind in ("terminated", "truncated")
    )
    advantage, target = gae(reward, value, next_value, terminated, truncated, gamma=GAMMA, gae_lambda=LAMBDA)
    for row in range(len(mixes)):
        parts = (x[row].tolist() for x in (reward, value, next_value, terminated, truncated))
        torch.testing.assert_close(advantage[row], reference_gae(*parts), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(target, advantage + value)


def test_published_bootstrap_leaks_over_a_truncation():
    reward, value, next_value = torch.zeros(1, 2), torch.tensor([[0.0, 5.0]]), torch.tensor([[1.0, 0.0]])
    ends = torch.tensor([[False, True]]), torch.tensor([[True, False]])
    final, _ = gae(reward, value, next_value, *ends, gamma=1.0, gae_lambda=1.0)
    leaked, _ = gae(reward, value, next_value, *ends, gamma=1.0, gae_lambda=1.0, bootstrap="published")
    assert final[0, 0] == 1
    assert leaked[0, 0] == 5 - 5


def test_clip_schedule_and_discount_against_the_formulas():
    clip = clip_schedule(10, coef=0.01, base=0.001, rate=3.0)
    for i in range(10):
        expected = 0.001 + 0.009 * (math.exp(3 * i / 9) - 1) / (math.exp(3) - 1)
        assert clip[i].item() == pytest.approx(expected, rel=1e-5)
    assert clip_schedule(1, coef=0.01, base=0.001, rate=3.0).tolist() == pytest.approx([0.01])
    assert denoising_discount(3, 0.99).tolist() == pytest.approx([0.99**2, 0.99, 1.0])


def test_ratio_one_gives_minus_the_mean_advantage():
    log_prob, advantage = torch.randn(50), torch.randn(50)
    result = policy_loss(log_prob, log_prob, advantage, torch.full((50,), 0.01))
    assert result.loss.item() == pytest.approx(-advantage.mean().item(), abs=1e-6)
    assert result.approx_kl == 0
    assert result.clip_fraction == 0


@pytest.mark.parametrize(("shift", "advantage", "moves"), [(0.1, 1, False), (0.1, -1, True), (-0.1, 1, True)])
def test_clipped_samples_give_no_gradient(shift, advantage, moves):
    new = torch.full((1,), shift, requires_grad=True)
    policy_loss(
        new, torch.zeros(1), torch.full((1,), float(advantage)), torch.full((1,), 0.01)
    ).loss.backward()
    assert bool(new.grad.abs() > 0) is moves


def test_log_prob_is_clamped_per_element_and_only_executed_actions_count():
    log_prob = torch.zeros(1, 4, 7)
    log_prob[0, 0] = -100.0
    log_prob[0, 1] = 100.0
    log_prob[0, 3] = 50.0
    assert clamped_log_prob(log_prob, low=-5.0, high=2.0, act_steps=3).item() == pytest.approx((-5 + 2) / 3)


def test_normalized():
    x = normalized(torch.randn(100) * 4 + 7)
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert torch.equal(normalized(torch.full((4,), 0.25)), torch.zeros(4))


def test_reverse_regulariser_pulls_the_mean_to_the_base():
    mean = torch.full((200, 1, 1), 0.3, requires_grad=True)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    base, std = torch.zeros(200, 1, 1), torch.full((200,), 0.1)
    reverse_loss(mean, base, std, noise, clamp=(-100.0, 100.0)).backward()
    assert mean.grad.mean().item() * 200 == pytest.approx(0.3 / 0.1**2, rel=0.2)


def test_reward_scale_is_the_deviation_of_discounted_returns():
    scaler = RewardScaler(0.5, 10.0)
    reward = torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])
    ended = torch.tensor([[False, True, False, False], [True, False, False, True]])
    returns = torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])
    scaled = scaler.scale(reward, ended)
    torch.testing.assert_close(scaled, reward / returns.std(correction=0), rtol=1e-3, atol=1e-3)


def test_reward_scale_runs_over_everything_seen_and_resumes():
    generator = torch.Generator().manual_seed(0)
    parts = [torch.rand(3, 5, generator=generator) for _ in range(3)]
    ended = torch.ones(3, 5, dtype=torch.bool)
    scaler, other = RewardScaler(0.99, 10.0), RewardScaler(0.99, 10.0)
    for part in parts:
        scaler.scale(part, ended)
    pooled = torch.cat(parts).double().var(correction=0)
    assert scaler.variance.item() == pytest.approx(pooled.item(), rel=1e-3)
    other.load_state_dict(scaler.state_dict())
    assert torch.equal(other.scale(parts[0], ended), scaler.scale(parts[0], ended))


def test_rewards_that_never_come_stay_finite():
    scaled = RewardScaler(0.99, 10.0).scale(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
    assert torch.equal(scaled, torch.zeros(2, 3))
