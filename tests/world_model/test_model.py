from dataclasses import replace

import pydantic
import pytest
import torch
from toy_world import CARRIED, random_batch, tiny_config, tiny_world_model

from wam.contracts import config_from_dict
from wam.episodes.statistics import ProprioStatistics
from wam.seeding import torch_generator
from wam.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from wam.world_model.config import WorldModelConfig
from wam.world_model.losses import choose_frames
from wam.world_model.model import WorldModel

PUBLISHED = {
    "encoder": {"cnn_depth": 48},
    "rssm": {"deter": 1024, "stoch_dim": 32, "stoch_classes": 32, "hidden": 1000},
    "decoder": {"cnn_depth": 48},
    "inverse_dynamics": {"hidden": [512, 256, 128]},
}


def published(action_coef: float) -> WorldModel:
    losses = {"kl_coef": 0.3, "action_coef": action_coef}
    return WorldModel(config_from_dict(WorldModelConfig, PUBLISHED | {"losses": losses}))


def loss_of(model, batch, **options):
    return model.loss(batch, model.initial_state(len(batch["proprio"])), torch_generator(9), **options)


@pytest.mark.slow
def test_published_sizes_have_the_published_parameter_counts():
    model = published(1000.0)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counts["encoder"] == 7_825_824
    assert counts["rssm"] == 12_917_968
    assert counts["decoder"] == 19_157_286
    assert counts["inverse_dynamics"] == 1_756_935
    assert sum(counts.values()) - counts["inverse_dynamics"] == 39_901_078
    assert (model.embed_dim, model.feat_dim) == (1554, 2048)


@pytest.mark.slow
def test_the_published_size_learns_a_batch_and_imagines_on_from_it():
    model, batch = published(1000.0), random_batch(2, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5)  # 3e-4 steps too far on frames of noise
    losses = []
    for _ in range(4):
        output, state = loss_of(model, batch)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append(output.loss.item())
    assert losses[-1] < losses[0]
    assert state.feat.shape == (2, 2048)
    with torch.no_grad():
        imagined = model.imagine_step(state, torch.zeros(2, 7), torch_generator(1))
        assert imagined.feat.shape == (2, 2048)
        assert all(image.shape == (2, 3, 64, 64) for image in model.decode(imagined.feat))


@pytest.mark.slow
def test_a_step_of_the_published_size_trains_every_part():
    model = published(1000.0)
    output, state = loss_of(model, random_batch(1, 2))
    output.loss.backward()
    assert state.feat.shape == (1, 2048)
    for name, part in model.named_children():
        grads = [p.grad for p in part.parameters() if p.grad is not None]
        assert not list(part.parameters()) or any(grad.abs().max() > 0 for grad in grads), name


def test_without_action_coef_there_is_no_head():
    model = WorldModel(tiny_config(action_coef=0.0))
    assert model.inverse_dynamics is None
    assert not [name for name in model.state_dict() if "inverse" in name]


def test_diwa_equals_wam_without_its_head_to_the_bit():
    diwa, wam = (WorldModel(tiny_config(action_coef=coef), seed=4) for coef in (0.0, 10.0))
    for name, value in diwa.named_parameters():
        assert torch.equal(value, wam.get_parameter(name)), name
    batch = random_batch(3, 5, starts=[(1, 2)])
    (one, state), (two, other) = (loss_of(m, batch, decode_fraction=0.5) for m in (diwa, wam))
    assert torch.equal(state.feat, other.feat)
    assert set(two.metrics) - set(one.metrics) == {"action_loss", "action_error"}
    for name in ("image_loss", "kl_loss", "posterior_entropy"):
        assert torch.equal(one.metrics[name], two.metrics[name])


def test_init_scales_multiply_two_layers_and_nothing_else():
    page = tiny_config(action_coef=0.0)
    scaled = replace(
        page,
        rssm=replace(page.rssm, posterior_init_scale=3.0),
        decoder=replace(page.decoder, feat_init_scale=6.0),
    )
    plain, large = (WorldModel(config, seed=4) for config in (page, scaled))
    factors = {"rssm.posterior_out.weight": 3.0, "decoder.shared.weight": 6.0}
    for name, value in plain.named_parameters():
        assert torch.equal(value * factors.get(name, 1.0), large.get_parameter(name)), name


def test_the_loss_is_the_weighted_sum_of_its_terms():
    model = WorldModel(tiny_config(proprio_coef=5.0, color_coef=2.0, overshooting_coef=0.7))
    output, _ = loss_of(model, random_batch(2, 4))
    m = output.metrics
    want = 0.3 * m["kl_loss"] + m["image_loss"] + 10.0 * m["action_loss"]
    want += 5.0 * m["proprio_loss"] + 2.0 * m["color_loss"] + 0.7 * m["ahead_loss"]
    torch.testing.assert_close(output.loss.detach(), want)
    torch.testing.assert_close(m["loss"], want)


def test_every_weight_but_the_initial_state_gets_a_gradient():
    model = WorldModel(tiny_config(proprio_coef=1.0))
    batch = random_batch(2, 4)
    batch["is_first"][:, 0] = True
    loss_of(model, batch)[0].loss.backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert idle == {"rssm.initial_deter", "rssm.initial_stoch"}


def test_the_batch_is_not_changed():
    batch = random_batch(2, 4, starts=[(0, 1)])
    before = {key: value.clone() for key, value in batch.items()}
    loss_of(WorldModel(tiny_config()), batch, decode_fraction=0.5, reset=torch.ones(2, 4, dtype=torch.bool))
    assert all(torch.equal(batch[key], value) for key, value in before.items())


def test_the_action_loss_trains_the_encoder_but_not_the_recurrence():
    model = WorldModel(tiny_config(kl_coef=0.0, image_coef=0.0))
    loss_of(model, random_batch(2, 4))[0].loss.backward()
    assert model.encoder.fusion.weight.grad.abs().max() > 0
    assert model.rssm.cell.weight_hh.grad.abs().max() == 0


@pytest.mark.slow
def test_a_fraction_of_the_frames_estimates_the_whole_image_loss():
    model, batch = WorldModel(tiny_config()), random_batch(4, 6)
    batch["image_static"] = batch["image_static"] // torch.arange(1, 25, dtype=torch.uint8).view(
        4, 6, 1, 1, 1
    )
    state = model.initial_state(4)
    whole = model.loss(batch, state, torch_generator(0))[0].metrics["image_loss"]
    estimates = [
        model.loss(batch, state, torch_generator(seed), decode_fraction=0.25)[0].metrics["image_loss"]
        for seed in range(40)
    ]
    spread = torch.stack(estimates).std() / 40**0.5
    assert abs(torch.stack(estimates).mean() - whole) < 3 * spread + 1e-3 * whole


@pytest.mark.parametrize(("fraction", "count"), [(1.0, 10), (0.33, 3), (0.01, 1)])
def test_chosen_frames_are_distinct(fraction, count):
    chosen = choose_frames(10, fraction, torch_generator(0))
    assert len(set(chosen.tolist())) == len(chosen) == count


def test_random_resets_drop_the_state_but_not_the_action_pair():
    model, batch = tiny_world_model(), random_batch(2, 4)
    reset = torch.zeros(2, 4, dtype=torch.bool)
    reset[:, 2] = True
    (with_reset, state), (without, other) = (loss_of(model, batch, reset=r) for r in (reset, None))
    assert not torch.equal(state.deter, other.deter)
    assert torch.equal(with_reset.metrics["action_loss"], without.metrics["action_loss"])


def test_decoding_keeps_leading_axes():
    model = tiny_world_model()
    static, gripper = model.decode(torch.zeros(2, 3, model.feat_dim))
    assert static.shape == gripper.shape == (2, 3, 3, 64, 64)


def test_proprio_is_normalised_by_statistics_in_the_checkpoint(tmp_path):
    low = torch.arange(18.0)
    statistics = ProprioStatistics(low.numpy(), (low + 2).numpy())
    model = WorldModel(tiny_config(), statistics)
    save_checkpoint(tmp_path / "c", model.to_checkpoint(steps=3))
    checkpoint = load_checkpoint(tmp_path / "c")
    back = WorldModel.from_checkpoint(checkpoint)
    batch = random_batch(2, 2) | {"proprio": low.expand(2, 2, 18) + 1.0}
    torch.testing.assert_close(back.embed(batch)[..., -18:], torch.full((2, 2, 18), 0.5))
    assert checkpoint.extra == {"steps": 3, "rotation_convention": "extrinsic"}
    assert checkpoint.digest == back.to_checkpoint().digest
    assert not any(p.requires_grad for p in back.parameters())


def test_a_checkpoint_from_before_the_prior_saw_anything_loads_as_it_was():
    model = tiny_world_model(**CARRIED["carries_all"], color_coef=1.0)
    checkpoint = model.to_checkpoint()
    del checkpoint.config["rssm"]["prior_sees_carried"]
    del checkpoint.config["decoder"]["corrects_painted_colors"]
    back, state = WorldModel.from_checkpoint(checkpoint), model.initial_state(2)
    assert torch.equal(*(x.rssm.prior_logits(state.deter, state.carried) for x in (model, back)))
    feat = torch.randn(2, model.feat_dim, generator=torch_generator(1))
    assert torch.equal(model.read_colors(feat), back.read_colors(feat))


def test_another_kind_of_checkpoint_is_refused():
    with pytest.raises(ValueError, match="want a 'world_model'"):
        WorldModel.from_checkpoint(Checkpoint("policy", {}, {}))


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ("rssm", "deter", 0),
        ("rssm", "stoch_classes", 1),
        ("losses", "kl_balance", 1.5),
        ("encoder", "depth", 3),
    ],
)
def test_mistakes_in_the_configuration_are_named(where, key, value):
    page = PUBLISHED | {"losses": {"kl_coef": 1.0, "action_coef": 0.0}}
    page = page | {where: page[where] | {key: value}}
    with pytest.raises(pydantic.ValidationError, match=rf"{where}\.{key}"):
        config_from_dict(WorldModelConfig, page)
