import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from wam.nn.distributions import (
    balanced_kl,
    categorical_entropy,
    categorical_kl,
    gumbel_noise,
    log_probabilities,
    sample_one_hot,
)
from wam.seeding import torch_generator


@pytest.fixture
def pair():
    generator = torch_generator(0)
    return tuple(torch.randn(6, 3, 4, generator=generator, requires_grad=True) for _ in range(2))


def test_samples_are_exact_one_hot_vectors(pair):
    sample = sample_one_hot(pair[0], gumbel_noise((6, 3, 4), torch_generator(1)))
    assert set(sample.unique().tolist()) == {0.0, 1.0}
    assert (sample.sum(dim=-1) == 1).all()


def test_sample_frequencies_follow_the_probabilities():
    logits = torch.tensor([[1.0, 0.0, -2.0]])
    noise = gumbel_noise((20_000, 1, 3), torch_generator(2))
    frequency = sample_one_hot(logits.expand(20_000, 1, 3), noise).mean(dim=0)
    torch.testing.assert_close(frequency, logits.softmax(dim=-1), atol=0.015, rtol=0)


def test_gradient_of_a_sample_is_that_of_the_probabilities(pair):
    logits, _ = pair
    weight = torch.randn(6, 3, 4, generator=torch_generator(3))
    sample = sample_one_hot(logits, gumbel_noise((6, 3, 4), torch_generator(1)))
    (got,) = torch.autograd.grad((sample * weight).sum(), logits)
    (want,) = torch.autograd.grad((logits.softmax(dim=-1) * weight).sum(), logits)
    torch.testing.assert_close(got, want)


def test_noise_repeats_with_its_generator():
    a, b = (gumbel_noise((5, 2), torch_generator(4, "x")) for _ in range(2))
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_kl_and_entropy_agree_with_torch(pair):
    p, q = (Categorical(logits=x.detach(), validate_args=False) for x in pair)
    torch.testing.assert_close(categorical_kl(*pair).detach(), kl_divergence(p, q).sum(dim=-1))
    torch.testing.assert_close(categorical_entropy(pair[0]).detach(), p.entropy().sum(dim=-1))


def test_kl_is_positive_and_zero_for_equal_logits(pair):
    assert (categorical_kl(*pair) > 0).all()
    shifted = pair[0] + 3.0
    torch.testing.assert_close(categorical_kl(pair[0], shifted).detach(), torch.zeros(6), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("balance", "trained", "stopped"), [(1.0, 1, 0), (0.0, 0, 1)])
def test_each_term_of_the_balanced_kl_trains_one_side(pair, balance, trained, stopped):
    grads = torch.autograd.grad(balanced_kl(pair[0], pair[1], balance).sum(), pair)
    assert grads[trained].abs().max() > 1e-3
    assert (grads[stopped] == 0).all()


def test_balanced_kl_has_the_value_of_the_kl(pair):
    torch.testing.assert_close(balanced_kl(*pair, 0.8), categorical_kl(*pair))


@pytest.mark.parametrize("classes", [1, 4, 8, 9, 32])
def test_log_probabilities_of_few_and_many_classes(classes):
    logits = torch.randn(5, 3, classes, generator=torch_generator(5), requires_grad=True)
    logits.data[0] += 500.0
    logits.data[1, :, 0] = -1e4
    weight = torch.randn(5, 3, classes, generator=torch_generator(6))
    got, want = log_probabilities(logits), logits.log_softmax(dim=-1)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad((x * weight).sum(), logits)[0] for x in (got, want)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("classes", [4, 32])
def test_gradient_of_the_balanced_kl_is_that_of_its_two_terms(classes):
    posterior, prior = (
        (3 * torch.randn(6, 5, classes, generator=torch_generator(seed))).requires_grad_() for seed in (7, 8)
    )
    weight = torch.rand(6, generator=torch_generator(9))
    terms = 0.8 * categorical_kl(posterior.detach(), prior) + 0.2 * categorical_kl(posterior, prior.detach())
    want = torch.autograd.grad((terms * weight).sum(), (posterior, prior))
    got = torch.autograd.grad((balanced_kl(posterior, prior, 0.8) * weight).sum(), (posterior, prior))
    for mine, plain in zip(got, want, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-5, atol=1e-6)
