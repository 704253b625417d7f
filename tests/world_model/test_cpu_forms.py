"""The forms made for CPUs against the plain layers, through the whole loss."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
import torch
from recorded import Operations
from toy_world import CARRIED, random_batch, tiny_config, tiny_world_model

from wam.contracts import config_from_dict
from wam.nn.strided import quick_precision
from wam.seeding import torch_generator
from wam.training.captured import PLAIN_CALLS
from wam.world_model import decoder, encoder
from wam.world_model.config import DecoderConfig, EncoderConfig
from wam.world_model.imagination import CapturedPrior, FrozenPrior
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
        monkeypatch.setattr(module, "quick_precision", lambda _: None)
    plain_loss, plain_gradients, plain_state = loss_and_gradients(model)
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    assert torch.equal(state.stoch, plain_state.stoch)
    names = [name for name, _ in model.named_parameters()]
    for name, got, want in zip(names, gradients, plain_gradients, strict=True):
        assert (got is None) == (want is None), name
        if got is not None and want.norm() > 0:
            assert (got - want).norm() / want.norm() < 1e-5, name


def through_the_cameras(autocast):
    """Gradients of both stacks at a width of which some layers are narrow and some are not."""
    torch.manual_seed(1)
    page = config_from_dict(EncoderConfig, {"cnn_depth": 16})
    seen = encoder.Encoder(page)
    shown = decoder.Decoder(config_from_dict(DecoderConfig, {"cnn_depth": 16}), seen.embed_dim)
    static, gripper = (
        torch.randint(0, 256, (70, 64, 64, 3), dtype=torch.uint8, generator=torch_generator(n))
        for n in (1, 2)
    )
    with autocast:
        embed = seen.encode_bytes(static, gripper, torch.rand(70, 18, generator=torch_generator(3)))
        loss = shown.loss(embed, static, gripper)
    loss.backward()
    named = {"encoder": seen, "decoder": shown}
    gradients = {
        f"{part}.{name}": parameter.grad
        for part, module in named.items()
        for name, parameter in module.named_parameters()
        if parameter.dim() > 1
    }
    return loss.item(), gradients


def test_in_bf16_they_are_as_near_to_fp32_as_the_plain_layers(monkeypatch):
    exact_loss, exact = through_the_cameras(nullcontext())
    quick_loss, quick = through_the_cameras(torch.autocast("cpu", torch.bfloat16))
    for module in (encoder, decoder):
        monkeypatch.setattr(module, "quick_precision", lambda _: None)
    plain_loss, plain = through_the_cameras(torch.autocast("cpu", torch.bfloat16))
    assert quick_loss == pytest.approx(exact_loss, rel=1e-3)
    assert quick_loss not in (exact_loss, plain_loss), "both stacks were run in this precision and form"
    off = {
        side: {name: float((got[name] - want).norm() / want.norm()) for name, want in exact.items()}
        for side, got in (("quick", quick), ("plain", plain))
    }
    assert quick["encoder.image_static.layers.0.weight"].dtype == torch.float32
    assert all(error < 0.03 for error in off["quick"].values()), off["quick"]
    assert all(error < 1.5 * off["plain"][name] for name, error in off["quick"].items()), off


def test_threads_do_not_touch_each_others_precision():
    """One trains in bf16 while another makes features in fp32."""
    model, batch = WorldModel(tiny_config(), seed=3), random_batch(2, 2)
    together = threading.Barrier(2)

    def works(low: bool) -> bool:
        together.wait(timeout=10)
        kept = []
        for _ in range(30):
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                model.loss(batch, model.initial_state(2), torch_generator(9))
                kept.append(torch.is_autocast_enabled("cpu") == low)
        return all(kept)

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(works, [True, False]))


def test_precisions_that_they_have_and_those_that_take_the_plain_layers():
    assert quick_precision(torch.zeros(1)) == torch.float32
    assert quick_precision(torch.zeros(1, dtype=torch.float64)) is None
    assert quick_precision(torch.zeros(1, dtype=torch.bfloat16)) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert quick_precision(torch.zeros(1)) == torch.bfloat16
        assert quick_precision(torch.zeros(1, dtype=torch.float64)) is None
    with torch.autocast("cpu", torch.float16):
        assert quick_precision(torch.zeros(1)) is None


@pytest.mark.parametrize(
    "make", [FrozenPrior, lambda model: CapturedPrior(model, Operations())], ids=["cpu", "gpu"]
)
@pytest.mark.parametrize("carried", CARRIED)
def test_the_frozen_prior_gives_the_samples_of_the_plain_one(carried, make):
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
    frozen, plain = make(model), model
    states = [state, state]
    for step in range(PLAIN_CALLS + 4):
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
    assert not isinstance(frozen, CapturedPrior) or frozen._step.recorded
