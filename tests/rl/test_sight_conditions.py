"""What policies are shown: widths, values by hand, and that imagination shows what is decoded."""

import numpy as np
import pytest
import torch
from toy_world import CARRIED, tiny_config, tiny_world_model

from wam.contracts import PROPRIO_DIM
from wam.nn.linear_init import fan_in_uniform_
from wam.policy.fine_tuned import FineTunedPolicy
from wam.policy.load import policy_from_checkpoint
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig
from wam.rl.finetune import finetune
from wam.rl.imagined_env import ImaginedEnv
from wam.rl.imagined_practice import Imagination
from wam.sight.conditions import (
    condition_parts,
    imagined_sight,
    measured_sight,
    missing_decoders,
    shows_carried_alone,
)
from wam.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState

BOTH = "features_and_proprio"
COLORS = "colors_and_proprio"
SCENE = "scene_and_proprio"
PAINTED = "painted_and_proprio"


@pytest.fixture
def model():
    """Decodes proprioception and colours; the ranges of the first are no ordinary ones."""
    model = WorldModel(tiny_config(proprio_coef=1.0, color_coef=1.0), seed=1).eval().requires_grad_(False)
    model.proprio_normalizer.set_bounds_(np.linspace(-3, -1, PROPRIO_DIM), np.linspace(1, 4, PROPRIO_DIM))
    return model


@pytest.fixture
def classifier(model):
    page = ClassifierConfig(encoder_hidden=4, embed_dim=4, head_hidden=4, sees_start=False, standardize=False)
    classifier = RewardClassifier(model.feat_dim, page)
    fan_in_uniform_(classifier, 0)
    return classifier


def states(model, count=6):
    noise = model.noise(count, generator=torch.Generator().manual_seed(3))
    deter = torch.randn(count, model.config.rssm.deter, generator=torch.Generator().manual_seed(4))
    stoch = torch.nn.functional.one_hot(noise.argmax(-1), noise.shape[-1]).float()
    return model.initial_state(count)._replace(deter=deter, stoch=stoch)


@pytest.mark.parametrize("carried", CARRIED.values(), ids=CARRIED)
def test_parts_of_features_lie_as_a_state_holds_them(carried):
    model = WorldModel(tiny_config(**carried))
    parts = model.initial_state(2).tensors
    marked = RSSMState(**{name: torch.full_like(x, i) for i, (name, x) in enumerate(parts.items())})
    widths = torch.unique_consecutive(marked.feat[0], return_counts=True)[1]
    assert tuple(widths.tolist()) == model.config.feat_parts == condition_parts("features", model)


def test_a_measured_condition_is_features_then_each_normalised_component(model):
    feat, proprio = torch.randn(2, model.feat_dim), torch.randn(2, PROPRIO_DIM)
    shown = measured_sight(BOTH, model)(feat, proprio)
    assert shown.shape == (2, model.feat_dim + 18)
    assert shown.shape[1] == sum(condition_parts(BOTH, model))
    low, high = np.linspace(-3, -1, PROPRIO_DIM), np.linspace(1, 4, PROPRIO_DIM)
    for row in range(2):
        assert shown[row, : model.feat_dim].tolist() == feat[row].tolist()
        for k in range(PROPRIO_DIM):
            by_hand = (float(proprio[row, k]) - low[k]) / (high[k] - low[k])
            assert float(shown[row, model.feat_dim + k]) == pytest.approx(by_hand, abs=1e-5)


def test_features_alone_are_the_tensor_itself(model):
    feat, proprio = torch.randn(2, model.feat_dim), torch.randn(2, PROPRIO_DIM)
    assert measured_sight("features", model)(feat, proprio) is feat
    assert imagined_sight("features", tiny_world_model())(feat) is feat
    assert sum(condition_parts("features", tiny_world_model())) == feat.shape[1]


def test_an_imagined_condition_is_features_then_what_the_decoder_reads(model):
    """It is trained on normalised values, so that nothing is left to do to them."""
    feat = torch.randn(3, model.feat_dim)
    shown = imagined_sight(BOTH, model)(feat)
    assert torch.equal(shown[:, : model.feat_dim], feat)
    first, _, last = model.proprio_decoder
    for row in range(3):
        hidden = first.weight.numpy() @ feat[row].numpy() + first.bias.numpy()
        hidden = np.where(hidden > 0, hidden, np.expm1(hidden))
        by_hand = last.weight.numpy() @ hidden + last.bias.numpy()
        np.testing.assert_allclose(shown[row, model.feat_dim :].numpy(), by_hand, rtol=1e-4, atol=1e-5)


def test_colors_are_read_from_features_in_both_worlds_and_take_their_place(model):
    feat, proprio = torch.randn(3, model.feat_dim), torch.randn(3, PROPRIO_DIM)
    measured = measured_sight(COLORS, model)(feat, proprio)
    imagined = imagined_sight(COLORS, model)(feat)
    colors = model.color_decoder.from_feat(feat)
    assert condition_parts(COLORS, model) == (colors.shape[1], 18)
    assert measured.shape[1] == imagined.shape[1] == colors.shape[1] + 18
    assert torch.equal(measured, torch.cat((colors, model.proprio_normalizer(proprio)), 1))
    assert torch.equal(imagined, torch.cat((colors, model.proprio_decoder(feat)), 1))


def test_a_carried_arm_is_shown_in_imagination_and_needs_no_decoder():
    """It is the end of the features; policies trained on measured arms meet the same numbers."""
    carrying = WorldModel(tiny_config(carries_arm=True, color_coef=1.0), seed=1).eval()
    assert carrying.proprio_decoder is None
    feat = torch.rand(3, carrying.feat_dim)
    for sees in (BOTH, COLORS):
        assert torch.equal(imagined_sight(sees, carrying)(feat)[:, -18:], feat[:, -18:])
        assert missing_decoders(sees, carrying.config, imagined=True) == []
    arms = carrying.proprio_normalizer(torch.randn(3, PROPRIO_DIM))
    state = carrying.state_from_feat(torch.cat((feat[:, :-18], arms), 1))
    assert torch.equal(imagined_sight(COLORS, carrying)(state.feat)[:, -18:], arms)


def test_a_world_model_that_decodes_no_colors_cannot_show_them():
    plain = WorldModel(tiny_config(proprio_coef=1.0), seed=1).eval()
    for make in (condition_parts, measured_sight, imagined_sight):
        with pytest.raises(ValueError, match=r"decodes no color; set world_model.losses.color_coef above 0"):
            make(COLORS, plain)


def test_scene_and_places_are_shown_alike_in_both_worlds_and_nothing_of_h_and_z():
    model = tiny_world_model(**CARRIED["carries_all"])
    for buffer in (model.rssm.scene_track.places.weight, model.rssm.scene_track.places.bias):
        buffer.copy_(torch.randn(buffer.shape, generator=torch.Generator().manual_seed(1)))
    feat = torch.randn(3, model.feat_dim, generator=torch.Generator().manual_seed(2))
    imagined = imagined_sight(SCENE, model)(feat)
    assert imagined.shape == (3, sum(condition_parts(SCENE, model))) == (3, 6 + 12 + 18)
    state = model.state_from_feat(feat)
    assert torch.equal(imagined[:, :6], state.scene)
    assert torch.equal(imagined[:, -18:], state.arm)
    track = model.rssm.scene_track
    places = track.places(track.known(state.scene, state.outset)).flatten(1)
    torch.testing.assert_close(imagined[:, 6:18], places)
    measured = measured_sight(SCENE, model)(feat, torch.zeros(3, 18))
    assert torch.equal(measured[:, :18], imagined[:, :18])
    other = state._replace(deter=state.deter + 1, stoch=state.stoch + 1).feat
    assert torch.equal(imagined_sight(SCENE, model)(other), imagined)


@pytest.mark.parametrize("carried", ["carries_all", "prior_sees_all"])
def test_colours_are_decoded_in_both_worlds_where_a_scene_is_carried_too(carried):
    """Policies that saw them painted in imagination alone saw two worlds."""
    model = tiny_world_model(**CARRIED[carried], color_coef=1.0)
    feat = torch.randn(3, model.feat_dim, generator=torch.Generator().manual_seed(2))
    imagined = imagined_sight(COLORS, model)(feat)
    measured = measured_sight(COLORS, model)(feat, torch.zeros(3, 18))
    assert torch.equal(imagined[:, :-18], model.color_decoder.from_feat(feat))
    assert torch.equal(measured[:, :-18], imagined[:, :-18])


def test_painted_colours_hang_on_what_is_carried_alone_in_both_worlds():
    model = tiny_world_model(**CARRIED["carries_all"])
    feat = torch.randn(3, model.feat_dim, generator=torch.Generator().manual_seed(2))
    state, track = model.state_from_feat(feat), model.rssm.scene_track
    imagined = imagined_sight(PAINTED, model)(feat)
    painted = track.paint(state.scene, state.outset, state.arm)
    assert torch.equal(imagined, torch.cat((painted, state.arm), 1))
    assert imagined.shape[1] == sum(condition_parts(PAINTED, model))
    other = state._replace(deter=state.deter + 1, stoch=state.stoch + 1).feat
    assert torch.equal(imagined_sight(PAINTED, model)(other), imagined)
    measured = measured_sight(PAINTED, model)(feat, torch.zeros(3, 18))
    assert torch.equal(measured[:, :-18], painted)


def test_only_painted_colours_and_the_scene_are_carried_alone():
    model = tiny_world_model(**CARRIED["carries_all"], color_coef=1.0)
    shown = {sees: shows_carried_alone(sees, model) for sees in (COLORS, PAINTED, SCENE, BOTH, "features")}
    assert shown == {COLORS: False, PAINTED: True, SCENE: True, BOTH: False, "features": False}
    assert not shows_carried_alone(PAINTED, tiny_world_model(proprio_coef=1.0, color_coef=1.0))


def test_a_world_model_that_carries_no_scene_cannot_show_it():
    plain = tiny_world_model(proprio_coef=1.0)
    for sees, kind in ((SCENE, "scene"), (PAINTED, "painted")):
        for make in (measured_sight, imagined_sight):
            with pytest.raises(
                ValueError, match=r"carries no scene; set world_model.rssm.carries_scene to true"
            ):
                make(sees, plain)
        assert missing_decoders(sees, plain.config, imagined=True) == [kind]
        assert not missing_decoders(sees, tiny_config(**CARRIED["carries_all"]), imagined=True)


def make_env(model, classifier, sees):
    return ImaginedEnv(
        model,
        classifier,
        states(model),
        num_envs=4,
        imagine_steps=8,
        act_steps=4,
        generator=torch.Generator().manual_seed(0),
        sight=imagined_sight(sees, model),
    )


def test_imagination_shows_the_decoded_arm_and_judges_features_alone(model, classifier):
    actions = torch.rand(4, 4, 7, generator=torch.Generator().manual_seed(5))
    seen, outcomes = {}, {}
    for sees in ("features", BOTH):
        env = make_env(model, classifier, sees)
        steps, shown = [], [env.reset(seed=1)[0]]
        for _ in range(5):
            steps.append(env.step(actions))
            shown += [steps[-1][0], steps[-1][-1]["final_obs"]]
        seen[sees], outcomes[sees] = torch.stack(shown), torch.stack([step[2] for step in steps])
    alone, both = seen["features"], seen[BOTH]
    assert torch.equal(both[..., : model.feat_dim], alone)
    assert torch.equal(both[..., model.feat_dim :], model.proprio_decoder(alone))
    assert torch.equal(outcomes["features"], outcomes[BOTH])


def test_a_world_model_without_a_decoder_is_refused_before_any_work(classifier):
    mute = tiny_world_model()
    assert mute.proprio_decoder is None
    said = r"policy.sees is 'features_and_proprio', .*; set world_model.losses.proprio_coef above 0 .*, or"
    with pytest.raises(ValueError, match=said):
        Imagination(mute, classifier, states(mute), BOTH)


@pytest.mark.parametrize("sees", [BOTH, COLORS])
def test_a_policy_that_sees_the_arm_is_refined(model, classifier, world, sees):
    policy = world.policy(cond_dim=sum(condition_parts(sees, model)), sees=sees)
    config = world.config(iterations=2, update_epochs=1)
    result = finetune(
        policy, Imagination(model, classifier, states(model), sees), config, seed=0, evaluate=None
    )
    assert result.last.sees == sees
    assert all(np.isfinite(list(row.values())).all() for row in result.history)


@pytest.mark.parametrize("sees", ["features", BOTH, COLORS])
def test_a_checkpoint_remembers_what_its_policy_sees(world, tmp_path, sees):
    cloned = world.policy(sees=sees)
    for name, policy in (("cloned", cloned), ("refined", FineTunedPolicy(cloned, cloned, 3))):
        save_checkpoint(tmp_path / name, policy.to_checkpoint())
        assert policy_from_checkpoint(load_checkpoint(tmp_path / name)).sees == sees


def test_a_policy_of_an_older_checkpoint_sees_features(world):
    new = world.policy().to_checkpoint()
    diffusion = {key: value for key, value in new.config["diffusion"].items() if key != "sees"}
    old = Checkpoint(new.kind, new.weights, {**new.config, "diffusion": diffusion})
    assert policy_from_checkpoint(old).sees == "features"
