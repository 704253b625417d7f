from dataclasses import replace

import pytest
import torch
from toy_world import random_batch, tiny_config

from wam.contracts import config_from_dict, config_with
from wam.nn.init import initialise_
from wam.seeding import torch_generator
from wam.world_model.config import InverseDynamicsConfig
from wam.world_model.inverse_dynamics import InverseDynamics
from wam.world_model.model import WorldModel
from wam.world_model.part import Part

NO_STARTS = torch.zeros(2, 4, dtype=torch.bool)


def head(**values) -> InverseDynamics:
    module = InverseDynamics(config_from_dict(InverseDynamicsConfig, {"hidden": [32]} | values), 10, 6, 9)
    initialise_(module, 0)
    return module


def draw(*shape):
    return torch.randn(*shape, generator=torch_generator(0, *shape))


@pytest.mark.slow
def test_it_learns_a_linear_toy_system():
    module, matrix = head(), draw(10, 7)
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    for step in range(400):
        embed = torch.randn(16, 6, 10, generator=torch_generator(1, step))
        action = torch.zeros(16, 6, 7)
        action[:, :-1] = 0.1 * (embed[:, 1:] - embed[:, :-1]) @ matrix
        loss, error = module.loss(embed, action, torch.zeros(16, 6, dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert error < 0.25 * action.abs().mean()


def test_pairs_never_cross_an_episode_start():
    module, embed, action = head(), draw(2, 4, 10), draw(2, 4, 7)
    starts = NO_STARTS.clone()
    starts[0, 2] = True
    loss, _ = module.loss(embed, action, starts)
    spoiled = action.clone()
    spoiled[0, 1] = 1e6
    assert module.loss(embed, spoiled, starts)[0] == loss
    pairs = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    predicted = module(embed)
    want = torch.stack([(predicted[p] - action[p]).abs().mean() for p in pairs]).mean()
    torch.testing.assert_close(loss, want)


def test_a_start_at_the_first_frame_of_a_window_costs_no_pair():
    module, embed, action = head(), draw(2, 4, 10), draw(2, 4, 7)
    starts = NO_STARTS.clone()
    starts[:, 0] = True
    assert module.loss(embed, action, starts)[0] == module.loss(embed, action, NO_STARTS)[0]


def test_the_action_of_the_last_frame_is_not_used():
    module, embed, action = head(), draw(2, 4, 10), draw(2, 4, 7)
    spoiled = action.clone()
    spoiled[:, -1] = 1e6
    assert module.loss(embed, spoiled, NO_STARTS)[0] == module.loss(embed, action, NO_STARTS)[0]


def test_no_pair_left_gives_zero():
    loss, error = head().loss(draw(2, 4, 10), draw(2, 4, 7), torch.ones(2, 4, dtype=torch.bool))
    assert (loss.item(), error.item()) == (0.0, 0.0)


def test_the_sum_is_seven_times_the_mean():
    embed, action = draw(2, 4, 10), draw(2, 4, 7)
    mean, total = (head(reduction=r).loss(embed, action, NO_STARTS) for r in ("mean", "sum"))
    torch.testing.assert_close(total[0], 7 * mean[0])
    torch.testing.assert_close(total[1], mean[1])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_l2_is_half_the_squared_error_and_the_metric_stays_absolute(reduction):
    embed, action = draw(2, 4, 10), draw(2, 4, 7)
    module = head(error="l2", reduction=reduction)
    difference = module(embed) - action[:, :-1]
    squared = 0.5 * difference.square()
    loss, metric = module.loss(embed, action, NO_STARTS)
    want = squared.mean() if reduction == "mean" else squared.sum(dim=-1).mean()
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(metric, difference.abs().mean().detach())


@pytest.mark.parametrize(("used", "sees_proprio"), [("embed", True), ("image", False)])
def test_the_image_input_does_not_see_the_appended_proprio(used, sees_proprio):
    module, embed, feat = head(input=used), draw(2, 4, 10), draw(2, 4, 9)
    changed = embed.clone()
    changed[..., 6:] += 1.0
    before, after = (module(module.seen(x, feat)) for x in (embed, changed))
    assert torch.equal(before, after) != sees_proprio
    assert torch.equal(module.seen(embed, feat), module.seen(embed, feat + 1.0))


def test_the_features_input_sees_features_alone():
    module, embed, feat = head(input="features"), draw(2, 4, 10), draw(2, 4, 9)
    assert torch.equal(module.seen(embed, feat), feat)
    assert module(feat).shape == (2, 3, 7)


@pytest.mark.parametrize(("hidden", "layers"), [([], 1), ([32, 16], 3), ([32, 32, 16, 16], 5)])
def test_depth_is_the_number_of_linear_layers(hidden, layers):
    assert sum(isinstance(part, torch.nn.Linear) for part in head(hidden=hidden).mlp) == layers


def test_the_activation_is_a_setting():
    module, seen = head(activation="relu"), draw(2, 4, 10)
    hidden = module.mlp[1](module.mlp[0](torch.cat([seen[:, :-1], seen[:, 1:]], dim=-1)))
    assert hidden.min() == 0
    assert not torch.equal(module(seen), head()(seen))


def test_dropout_leaves_out_a_share_of_the_hidden_values_in_training_alone():
    module, seen, generator = head(hidden=[64, 32], dropout=0.25), draw(8, 5, 10), torch_generator(3)
    masks = module.masks(8, 5, generator)
    assert [mask.shape for mask in masks] == [(8, 4, 64), (8, 4, 32)]
    assert masks[0].unique().tolist() == pytest.approx([0, 4 / 3])
    assert masks[0].mean() == pytest.approx(1, abs=0.05)
    x = torch.cat([seen[:, :-1], seen[:, 1:]], dim=-1)
    x = module.mlp[1](module.mlp[0](x)) * masks[0]
    x = module.mlp[3](module.mlp[2](x)) * masks[1]
    torch.testing.assert_close(module(seen, masks), module.mlp[4](x))
    drawn = generator.get_state()
    assert head().masks(8, 5, generator) == module.eval().masks(8, 5, generator) == []
    assert torch.equal(generator.get_state(), drawn)


def test_dropout_reaches_the_loss_of_the_head_and_draws_after_all_else():
    config, batch, terms = tiny_config(action_coef=10.0, overshooting_coef=1.0), random_batch(2, 4), []
    for page in (config, config_with(config, {"inverse_dynamics": {"dropout": 0.5}})):
        model = WorldModel(page, seed=1)
        output, _ = model.loss(batch, model.initial_state(2), torch_generator(0, "loss"), decode_fraction=0.5)
        terms.append(output.metrics)
    assert terms[0]["action_loss"] != terms[1]["action_loss"]
    for name in ("kl_loss", "image_loss", "ahead_loss"):
        assert terms[0][name] == terms[1][name]


def test_parts_of_a_batch_drop_what_the_whole_drops():
    page = config_with(tiny_config(action_coef=10.0), {"inverse_dynamics": {"dropout": 0.5}})
    model, batch = WorldModel(page, seed=1), random_batch(4, 3)
    first = batch["is_first"].numpy()
    whole, _ = model.loss(batch, model.initial_state(4), torch_generator(0, "loss"))
    total = 0.0
    for streams in (slice(0, 1), slice(1, 4)):
        own = {name: values[streams] for name, values in batch.items()}
        state = model.initial_state(streams.stop - streams.start)
        part, _ = model.loss(own, state, torch_generator(0, "loss"), part=Part.of(first, streams))
        total += part.metrics["action_loss"].item()
    assert total == pytest.approx(whole.metrics["action_loss"].item(), rel=1e-5)


@pytest.mark.parametrize("used", ["embed", "image", "features"])
def test_every_input_trains_the_encoder_of_the_world_model(used):
    config = tiny_config(kl_coef=0.0, image_coef=0.0)
    model = WorldModel(replace(config, inverse_dynamics=replace(config.inverse_dynamics, input=used)), seed=1)
    batch = random_batch(2, 4)
    output, _ = model.loss(batch, model.initial_state(2), torch_generator(0, "loss"))
    output.loss.backward()
    for part, reached in ((model.encoder, True), (model.rssm, used == "features")):
        gradients = [p.grad.abs().sum() for p in part.parameters() if p.grad is not None]
        assert (sum(gradients) > 0) == reached
