import pytest
import torch
from toy_world import random_batch, tiny_config, tiny_world_model

from wam.nn.distributions import sample_one_hot
from wam.seeding import torch_generator
from wam.world_model.model import WorldModel
from wam.world_model.rssm import Observed
from wam.world_model.state import RSSMState


def plain_observe(rssm, *frames) -> Observed:
    """The obvious loop: one frame after another, everything inside."""
    embed, prev_action, is_first, state, noise = frames
    feats, posteriors, priors = [], [], []
    for t in range(embed.shape[1]):
        state, logits = rssm.observe_step(embed[:, t], prev_action[:, t], is_first[:, t], state, noise[:, t])
        feats.append(state.feat)
        posteriors.append(logits)
        priors.append(rssm.prior_logits(state.deter))
    return Observed(*(torch.stack(x, dim=1) for x in (feats, posteriors, priors)), state)


@pytest.fixture
def model():
    return WorldModel(tiny_config(), seed=3)


@pytest.fixture
def frames(model):
    batch = random_batch(3, 6, starts=[(0, 0), (1, 3), (2, 5)])
    embed = torch.randn(3, 6, model.embed_dim, generator=torch_generator(1)).requires_grad_(True)
    noise = model.noise(3, 6, generator=torch_generator(2))
    generator = torch_generator(3)
    deter = torch.randn(3, 12, generator=generator).requires_grad_(True)
    stoch = torch.randn(3, 3, 4, generator=generator).requires_grad_(True)
    return embed, batch["prev_action"], batch["is_first"], RSSMState(deter, stoch), noise


def gradients(observed, inputs):
    generator = torch_generator(4)
    values = (*observed[:3], *observed.state)
    total = sum((x * torch.randn(x.shape, generator=generator)).sum() for x in values)
    return torch.autograd.grad(total, inputs, allow_unused=True)


def test_observing_t_frames_equals_t_single_steps(model, frames):
    fast, slow = model.rssm.observe(*frames), plain_observe(model.rssm, *frames)
    for got, want in zip((*fast[:3], *fast.state), (*slow[:3], *slow.state), strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_the_plain_loop(model, frames):
    embed, _, _, state, _ = frames
    inputs = [embed, *state, *model.rssm.parameters()]
    fast = gradients(model.rssm.observe(*frames), inputs)
    slow = gradients(plain_observe(model.rssm, *frames), inputs)
    names = ["embed", "deter", "stoch", *(name for name, _ in model.rssm.named_parameters())]
    for name, got, want in zip(names, fast, slow, strict=True):
        assert (got is None) == (want is None), name
        if got is not None:
            torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_nothing_before_an_episode_start_changes_what_comes_after(model, frames):
    embed, prev_action, _, state, noise = frames
    is_first = torch.zeros(3, 6, dtype=torch.bool)
    is_first[:, 3] = True
    one = model.rssm.observe(embed, prev_action, is_first, state, noise)
    changed = embed.detach().clone()
    changed[:, :3] += 1.0
    other_state = RSSMState(state.deter + 1.0, state.stoch - 1.0)
    two = model.rssm.observe(changed, prev_action, is_first, other_state, noise)
    assert not torch.equal(one.feat[:, :3], two.feat[:, :3])
    assert torch.equal(one.feat[:, 3:], two.feat[:, 3:])


def test_windows_with_carried_state_equal_one_long_window(model, frames):
    embed, prev_action, is_first, state, noise = frames
    whole = model.rssm.observe(*frames)
    first = model.rssm.observe(embed[:, :2], prev_action[:, :2], is_first[:, :2], state, noise[:, :2])
    second = model.rssm.observe(
        embed[:, 2:], prev_action[:, 2:], is_first[:, 2:], first.state.detach(), noise[:, 2:]
    )
    torch.testing.assert_close(torch.cat([first.feat, second.feat], dim=1), whole.feat)


def test_imagining_recorded_actions_is_the_rollout_of_the_prior(model, frames):
    _, prev_action, _, state, noise = frames
    imagined = state
    for t in range(3):
        deter = model.rssm.deter_step(imagined, prev_action[:, t])
        want = RSSMState(deter, sample_one_hot(model.rssm.prior_logits(deter), noise[:, t]))
        imagined = model.rssm.imagine_step(imagined, prev_action[:, t], noise[:, t])
        assert torch.equal(imagined.feat, want.feat)


def test_the_prior_and_the_posterior_share_the_deterministic_step(model, frames):
    embed, prev_action, _, state, noise = frames
    first = torch.zeros(3, dtype=torch.bool)
    observed, _ = model.rssm.observe_step(embed[:, 0], prev_action[:, 0], first, state, noise[:, 0])
    imagined = model.rssm.imagine_step(state, prev_action[:, 0], noise[:, 0])
    assert torch.equal(observed.deter, imagined.deter)


def test_states_are_one_hot_and_make_features_and_back():
    model = tiny_world_model()
    state = model.imagine_step(model.initial_state(5), torch.zeros(5, 7), torch_generator(0))
    assert (state.stoch.sum(dim=-1) == 1).all()
    assert state.feat.shape == (5, model.feat_dim) == (5, 24)
    back = model.state_from_feat(state.feat)
    assert all(torch.equal(a, b) for a, b in zip(back, state, strict=True))


def test_masking_zeroes_whole_rows_and_rows_selects_them():
    state = RSSMState(torch.ones(2, 3), torch.ones(2, 1, 2)).masked(torch.tensor([1, 0]))
    assert state.feat.sum(dim=1).tolist() == [5, 0]
    assert state.rows(slice(1, 2)).feat.shape == (1, 5)
