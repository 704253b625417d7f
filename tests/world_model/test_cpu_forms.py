"""The forms made for CPUs against the plain layers, through the whole loss."""

import pytest
import torch
from toy_world import CARRIED, random_batch, tiny_config, tiny_world_model

from wam.seeding import torch_generator
from wam.world_model import decoder, encoder
from wam.world_model.imagination import FrozenPrior
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState


def loss_and_gradients(model):
    output, state = model.loss(
        random_batch(3, 4, starts=[(1, 2)]), model.initial_state(3), torch_generator(9), decode_fraction=0.5
    )
    gradients = torch.autograd.grad(output.loss, list(model.parameters()), allow_unused=True)
    return output.loss.item(), gradients, state


def test_loss_gradients_and_samples_equal_those_of_the_plain_layers(monkeypatch):
    model = WorldModel(tiny_config(), seed=3)
    loss, gradients, state = loss_and_gradients(model)
    for module in (encoder, decoder):
        monkeypatch.setattr(module, "in_one_go", lambda _: False)
    plain_loss, plain_gradients, plain_state = loss_and_gradients(model)
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    assert torch.equal(state.stoch, plain_state.stoch)
    names = [name for name, _ in model.named_parameters()]
    for name, got, want in zip(names, gradients, plain_gradients, strict=True):
        assert (got is None) == (want is None), name
        if got is not None and want.norm() > 0:
            assert (got - want).norm() / want.norm() < 1e-5, name


def test_other_precisions_take_the_plain_layers():
    assert encoder.in_one_go(torch.zeros(1))
    assert not encoder.in_one_go(torch.zeros(1, dtype=torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        assert not encoder.in_one_go(torch.zeros(1))


@pytest.mark.parametrize("carried", CARRIED)
def test_the_frozen_prior_gives_the_samples_of_the_plain_one(carried):
    model = tiny_world_model(**CARRIED[carried])
    size, draw = model.config.rssm, torch_generator(4)
    classes = torch.randint(size.stoch_classes, (9, size.stoch_dim), generator=draw)
    stoch = torch.nn.functional.one_hot(classes, size.stoch_classes).float()
    stoch[0] = 0.0  # before the first frame nothing is sampled
    arm = outset = scene = None
    if size.carries_arm:
        arm = torch.rand(9, 18, generator=draw)
        model.rssm.arm_motion.weight.fill_(0.01)
    if size.carries_outset:
        outset = torch.rand(9, model.rssm.outset_dim, generator=draw)
    if size.carries_scene:
        scene = torch.rand(9, model.rssm.scene_dim, generator=draw)
    state = RSSMState(torch.randn(9, size.deter, generator=draw), stoch, arm, outset, scene)
    frozen, plain = FrozenPrior(model), model
    states = [state, state]
    for step in range(5):
        action = torch.rand(9, 7, generator=draw) * 2 - 1
        states = [
            side.imagine_step(one, action, torch_generator(step))
            for side, one in zip((frozen, plain), states, strict=True)
        ]
        torch.testing.assert_close(states[0].deter, states[1].deter, rtol=1e-5, atol=1e-6)
        assert torch.equal(states[0].stoch, states[1].stoch)
        assert states[0].tensors.keys() == states[1].tensors.keys() == state.tensors.keys()
        assert not size.carries_arm or torch.equal(states[0].arm, states[1].arm)
        assert outset is None or torch.equal(states[0].outset, outset)
        assert scene is None or torch.equal(states[0].scene, states[1].scene)
