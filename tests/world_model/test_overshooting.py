"""Overshooting against a slow chain, and that it trains the prior only as far as a window goes."""

import pytest
import torch
from toy_world import CARRIED, random_batch, tiny_config

from wam.contracts import IS_FIRST, PREV_ACTION
from wam.nn.distributions import categorical_kl
from wam.seeding import torch_generator
from wam.world_model.model import WorldModel
from wam.world_model.overshooting import overshooting_loss


def observed_in(model: WorldModel, batch: dict[str, torch.Tensor]):
    state = model.initial_state(len(batch[IS_FIRST]))
    return model.observe(
        model.embed(batch), batch[PREV_ACTION], batch[IS_FIRST], state, torch_generator(1, "test")
    )


@pytest.fixture(params=CARRIED.values(), ids=CARRIED)
def model(request) -> WorldModel:
    model = WorldModel(tiny_config(overshooting_coef=0.5, **request.param), seed=3)
    if model.rssm.arm_motion is not None:
        model.rssm.arm_motion.weight.fill_(0.01)
    return model


def test_it_is_the_slow_chain(model):
    batch = random_batch(3, 5, starts=[(0, 0), (1, 2)])
    observed = observed_in(model, batch)
    noise = model.noise(3, 5, generator=torch_generator(2, "test"))
    got = overshooting_loss(model.rssm, observed, batch[PREV_ACTION], batch[IS_FIRST], noise)
    total = 0.0
    for stream in range(3):
        state = model.state_from_feat(observed.feat[stream : stream + 1, 0])
        for step in range(1, 5):
            if batch[IS_FIRST][stream, 1 : step + 1].any():
                break
            action = batch[PREV_ACTION][stream : stream + 1, step]
            after = model.rssm.imagine_step(state, action, noise[stream : stream + 1, step])
            q = observed.posterior_logits[stream, step]
            total += categorical_kl(q, model.rssm.prior_logits(after.deter, after.carried)[0]).item()
            state = after
    assert got.item() == pytest.approx(total / (3 * 4), rel=1e-5)


@pytest.mark.parametrize("carried", [name for name in CARRIED if name != "prior_sees_all"])
def test_one_step_ahead_is_what_the_prior_is_trained_on_anyway(carried):
    """But for a prior that sees what is carried: measured there, moved here."""
    model = WorldModel(tiny_config(overshooting_coef=0.5, **CARRIED[carried]), seed=3)
    batch = random_batch(4, 2, starts=[])
    observed = observed_in(model, batch)
    noise = model.noise(4, 2, generator=torch_generator(2, "test"))
    got = overshooting_loss(model.rssm, observed, batch[PREV_ACTION], batch[IS_FIRST], noise)
    want = categorical_kl(observed.posterior_logits[:, 1], observed.prior_logits[:, 1]).mean()
    torch.testing.assert_close(got, want)


def test_the_prior_and_the_first_state_are_trained_and_later_posteriors_are_targets(model):
    batch = random_batch(2, 4, starts=[])
    embed = torch.randn(2, 4, model.embed_dim, generator=torch_generator(1)).requires_grad_(True)
    noise = model.noise(2, 4, generator=torch_generator(2, "test"))
    frames = batch[PREV_ACTION], batch[IS_FIRST]
    observed = model.observe(embed, *frames, model.initial_state(2), torch_generator(3))
    overshooting_loss(model.rssm, observed, *frames, noise).backward()
    assert model.rssm.prior_out.weight.grad.abs().max() > 0
    assert embed.grad[:, 0].abs().max() > 0
    assert embed.grad[:, 1:].abs().max() == 0


def test_windows_of_one_frame_have_nothing_ahead(model):
    batch = random_batch(2, 1, starts=[])
    noise = model.noise(2, 1, generator=torch_generator(2, "test"))
    assert (
        overshooting_loss(model.rssm, observed_in(model, batch), batch[PREV_ACTION], batch[IS_FIRST], noise)
        == 0
    )
