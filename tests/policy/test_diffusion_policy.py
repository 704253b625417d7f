import math

import pytest
import torch
from pydantic import ValidationError

from wam.policy.chain import DenoisingChain, gaussian_log_prob
from wam.policy.config import DiffusionConfig
from wam.policy.critic import Critic
from wam.policy.denoiser import sinusoidal_embedding
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.fine_tuned import FineTunedPolicy
from wam.policy.load import policy_from_checkpoint
from wam.policy.noise_schedule import NoiseSchedule, cosine_alpha_bar, cosine_betas
from wam.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_policy(cond_dim: int = 6, **changes: object) -> DiffusionPolicy:
    torch.manual_seed(3)
    config = DiffusionConfig(**({"hidden": 16, "standardize_condition": False} | changes))
    return DiffusionPolicy(cond_dim, config)


def test_published_sizes():
    actor = DiffusionPolicy(2048, DiffusionConfig(hidden=512, standardize_condition=False))
    assert sum(p.numel() for p in actor.parameters()) == 1_612_364
    assert sum(p.numel() for p in Critic(2048, 256).parameters()) == 656_385


def test_betas_against_slow_reference():
    def curve(x: float) -> float:
        return math.cos((x / 21 + 0.008) / 1.008 * math.pi / 2) ** 2

    grid = [21 * i / 20 for i in range(21)]
    expected = [min(1 - curve(grid[i + 1]) / curve(grid[i]), 0.999) for i in range(20)]
    torch.testing.assert_close(cosine_betas(20), torch.tensor(expected, dtype=torch.float64))
    assert cosine_alpha_bar(20)[0] == 1


def test_posterior_against_products_of_gaussians():
    schedule = NoiseSchedule(20)
    beta = cosine_betas(20)
    bar = torch.cumprod(1 - beta, 0)
    clean, noisy = torch.tensor(0.3, dtype=torch.float64), torch.tensor(-0.7, dtype=torch.float64)
    for k in range(1, 20):
        prior_precision = 1 / (1 - bar[k - 1])
        likelihood_precision = (1 - beta[k]) / beta[k]
        precision = prior_precision + likelihood_precision
        mean = (
            prior_precision * bar[k - 1].sqrt() * clean + noisy * (1 - beta[k]).sqrt() / beta[k]
        ) / precision
        wide = (x.float().reshape(1, 1, 1) for x in (clean, noisy))
        got = schedule.posterior_mean(*wide, torch.tensor([k]))
        assert got.item() == pytest.approx(mean.item(), abs=1e-5)
        assert schedule.posterior_std[k].item() == pytest.approx(precision.rsqrt().item(), rel=1e-5)
    assert schedule.posterior_std[0] == 0


def test_forward_noise_has_the_scheduled_mean_and_variance():
    schedule = NoiseSchedule(20)
    clean = torch.full((20_000, 1, 1), 0.5)
    for k in (0, 7, 19):
        noise = torch.randn(clean.shape, generator=generator(k))
        noisy = schedule.add_noise(clean, noise, torch.full((20_000,), k))
        bar = torch.cumprod(1 - cosine_betas(20), 0)[k].item()
        assert noisy.mean().item() == pytest.approx(0.5 * math.sqrt(bar), abs=0.03)
        assert noisy.var().item() == pytest.approx(1 - bar, rel=0.05)


def test_clean_estimate_inverts_noising_and_is_clipped():
    schedule = NoiseSchedule(20)
    clean, noise = torch.rand(5, 4, 7) * 2 - 1, torch.randn(5, 4, 7)
    k = torch.arange(5)
    noisy = schedule.add_noise(clean, noise, k)
    torch.testing.assert_close(schedule.clean_estimate(noisy, noise, k), clean, atol=1e-4, rtol=0)
    assert schedule.clean_estimate(noisy + 50, noise, k).abs().max() <= 1


def test_step_embedding_reference():
    table = sinusoidal_embedding(20, 16)
    assert table[5, 2].item() == pytest.approx(math.sin(5 * 10_000 ** (-2 / 7)), abs=1e-6)
    assert table[5, 8 + 2].item() == pytest.approx(math.cos(5 * 10_000 ** (-2 / 7)), abs=1e-6)


def test_noise_floors():
    policy = make_policy()
    training, still = policy.stds(deterministic=False), policy.stds(deterministic=True)
    assert training.min() >= 0.1
    assert training[0] == pytest.approx(0.1)
    assert still[0] == 0
    assert still[1:].min() >= 1e-3
    assert make_policy(final_sampling_std=0.05).stds(deterministic=False)[0] == pytest.approx(0.05)


def test_deterministic_sampling_ends_in_range_and_training_noise_is_bounded():
    policy, cond = make_policy(), torch.randn(64, 6)
    still = policy.sample(cond, generator=generator(), deterministic=True)
    assert still.shape == (64, 4, 7)
    assert still.abs().max() <= 1 + 1e-5
    noisy = policy.sample(cond, generator=generator(), deterministic=False)
    assert 1 < noisy.abs().max() <= 1 + 0.3 + 1e-5


@torch.no_grad()
def test_a_network_that_predicts_the_clean_chunk_is_taken_at_its_word():
    """The last step is the network's chunk, clipped, whatever the noise; others are the posterior's mean."""
    policy, cond = make_policy(predicts="clean"), torch.randn(5, 6)
    chunk = torch.linspace(-1.5, 1.5, 28).reshape(4, 7)
    policy.denoiser.trunk.output.weight.zero_()
    policy.denoiser.trunk.output.bias.copy_(chunk.flatten())
    for seed in (0, 1):
        got = policy.sample(cond, generator=generator(seed), deterministic=True)
        torch.testing.assert_close(got, chunk.clamp(-1, 1).expand_as(got), atol=1e-6, rtol=0)
    noisy, k = torch.randn(5, 4, 7), torch.tensor([19])
    want = policy.schedule.posterior_mean(chunk.clamp(-1, 1).expand_as(noisy), noisy, k)
    torch.testing.assert_close(policy.transition_mean(noisy, k, policy.project(cond)), want)
    assert policy.loss(cond, chunk.expand(5, 4, 7), generator()).loss < 1e-12


def test_sampling_repeats_with_the_same_generator():
    policy, cond = make_policy(), torch.randn(3, 6)
    first, again, other = (
        policy.sample(cond, generator=generator(s), deterministic=False) for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_chain_ends_in_the_sample_whatever_is_kept():
    policy, cond = make_policy(), torch.randn(3, 6)
    sample = policy.sample(cond, generator=generator(), deterministic=False)
    for kept in (1, 10, 20):
        chain = policy.sample_chain(cond, generator=generator(), deterministic=False, ft_denoising_steps=kept)
        assert chain.steps == kept
        torch.testing.assert_close(chain.chunk, sample)


def test_chain_log_prob_equals_the_sum_of_gaussian_terms():
    policy, cond = make_policy(), torch.randn(2, 6)
    chain = policy.sample_chain(cond, generator=generator(), deterministic=False, ft_denoising_steps=10)
    got = policy.log_prob(chain, cond, 0.1).sum((1, 2, 3))
    for b in range(2):
        total = 0.0
        for i in range(10):
            k = torch.tensor([9 - i])
            mean = policy.transition_mean(chain.actions[b : b + 1, i], k, policy.project(cond[b : b + 1]))
            std = max(policy.schedule.posterior_std[9 - i].item(), 0.1)
            normal = torch.distributions.Normal(mean, std)
            total += normal.log_prob(chain.actions[b : b + 1, i + 1]).sum().item()
        assert got[b].item() == pytest.approx(total, rel=1e-4)


def test_recorded_means_give_the_same_log_prob_as_a_new_pass():
    policy, cond = make_policy(), torch.randn(2, 6)
    chain = policy.sample_chain(cond, generator=generator(), deterministic=False, ft_denoising_steps=10)
    std = policy.schedule.floored_std(0.1)[torch.arange(9, -1, -1)]
    torch.testing.assert_close(
        gaussian_log_prob(chain.actions[:, 1:], chain.mean, std[None]), policy.log_prob(chain, cond, 0.1)
    )


def test_base_runs_the_first_steps_only():
    actor, cond = make_policy(), torch.randn(2, 6)
    torch.manual_seed(9)
    base = DiffusionPolicy(6, actor.config)
    kwargs = {"deterministic": False, "ft_denoising_steps": 10}
    alone = base.sample_chain(cond, generator=generator(), **kwargs)
    mixed = actor.sample_chain(cond, generator=generator(), base=base, **kwargs)
    assert torch.equal(mixed.actions[:, 0], alone.actions[:, 0])
    assert not torch.allclose(mixed.actions[:, 1], alone.actions[:, 1])


def test_fine_tuned_policy_with_an_unchanged_actor_is_the_policy():
    policy, cond = make_policy(), torch.randn(2, 6)
    tuned = FineTunedPolicy(policy, policy, 10)
    for deterministic in (True, False):
        expected = policy.sample(cond, generator=generator(), deterministic=deterministic)
        got = tuned.sample(cond, generator=generator(), deterministic=deterministic)
        assert torch.equal(got, expected)


@pytest.mark.parametrize("tuned", [False, True])
def test_checkpoint_round_trip_on_disk(tmp_path, tuned):
    policy = make_policy(standardize_condition=True)
    policy.fit_condition(torch.randn(50, 6) * 3)
    if tuned:
        policy = FineTunedPolicy(policy, make_policy(standardize_condition=True), 7)
    save_checkpoint(tmp_path / "policy", policy.to_checkpoint())
    back = policy_from_checkpoint(load_checkpoint(tmp_path / "policy"))
    cond = torch.randn(2, 6)
    expected, got = (p.sample(cond, generator=generator(), deterministic=True) for p in (policy, back))
    assert torch.equal(got, expected)


def test_loading_another_kind_is_refused():
    with pytest.raises(ValueError, match="world_model"):
        policy_from_checkpoint(Checkpoint("world_model", {}, {}, {}))


def test_condition_statistics_are_optional():
    cond = torch.randn(50, 6) * 3 + 1
    for switch in (False, True):
        policy = make_policy(standardize_condition=switch)
        policy.fit_condition(cond)
        assert torch.equal(policy.standardizer.mean, torch.zeros(6)) is not switch


@pytest.mark.parametrize("alike", [False, True])
def test_parts_of_a_condition_count_alike_where_the_page_says_so(alike):
    cond = torch.randn(500, 6) * 3 + 1
    policy = make_policy(standardize_condition=True, parts_alike=alike)
    policy.fit_condition(cond, (5, 1))
    variance = policy.standardizer(cond).var(0, correction=0)
    torch.testing.assert_close(variance, torch.tensor([0.6] * 5 + [3.0]) if alike else torch.ones(6))
    back = DiffusionPolicy.from_checkpoint(policy.to_checkpoint())
    assert torch.equal(back.project(cond), policy.project(cond))


def test_parts_of_what_is_not_standardised_are_refused():
    with pytest.raises(ValueError, match=r"policy\.parts_alike is true and .*standardize_condition false"):
        make_policy(parts_alike=True)


def test_loss_leaves_its_inputs_alone():
    policy, cond, action = make_policy(), torch.randn(8, 6), torch.rand(8, 4, 7)
    copies = cond.clone(), action.clone()
    policy.loss(cond, action, generator()).loss.backward()
    assert torch.equal(cond, copies[0])
    assert torch.equal(action, copies[1])


def test_wrong_settings_are_refused():
    with pytest.raises(ValidationError, match="act_steps 5 is more than horizon_steps 4"):
        make_policy(act_steps=5)
    with pytest.raises(ValueError, match="ft_denoising_steps 21"):
        make_policy().sample_chain(
            torch.zeros(1, 6), generator=generator(), deterministic=True, ft_denoising_steps=21
        )
    with pytest.raises(ValueError, match="one chunk more"):
        DenoisingChain(actions=torch.zeros(1, 3, 4, 7), mean=torch.zeros(1, 3, 4, 7))
    with pytest.raises(ValueError, match="copy of the base"):
        FineTunedPolicy(make_policy(), make_policy(hidden=8), 10)


def test_chains_that_share_a_condition_equal_those_that_repeat_it():
    policy, place = make_policy(), torch.tensor([2, 0, 0, 1, 2, 2])
    cond = torch.randn(3, 6, generator=generator(3))
    ways = ((cond, place), (cond[place], None))
    shared, repeated = (
        policy.sample_chain(c, generator=generator(4), deterministic=False, ft_denoising_steps=3, place=p)
        for c, p in ways
    )
    torch.testing.assert_close(shared.actions, repeated.actions)
    gradients = []
    for c, p in ways:
        policy.zero_grad()
        policy.log_prob(shared, c, 0.1, p).sum().backward()
        gradients.append([x.grad.clone() for x in policy.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))
