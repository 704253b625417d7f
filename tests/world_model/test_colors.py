"""Colour moments against a slow reference, and that they say where a small thing is."""

import numpy as np
import pytest
import torch
from toy_world import (
    CARRIED,
    LIKE_BASE,
    random_batch,
    tiny_config,
    tiny_training,
    tiny_world_model,
    toy_episodes,
)

from wam.contracts import PROPRIO_DIM
from wam.seeding import torch_generator
from wam.world_model.color_decoder import color_loss
from wam.world_model.color_targets import TARGET, WEIGHT, ColorTargets, color_targets
from wam.world_model.colors import ColorMoments, Colors, find_palette
from wam.world_model.model import WorldModel
from wam.world_model.train import WorldModelObjective

TAN, GREEN, RED = (193, 168, 132), (9, 64, 9), (213, 10, 10)


def scenes(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A tan image with a large red square and a green button of 3 x 4 pixels; the centre of the button."""
    rng = np.random.default_rng(seed)
    images = np.full((count, 64, 64, 3), TAN, np.uint8)
    centers = np.zeros((count, 2))
    for image, center in zip(images, centers, strict=True):
        row, column = rng.integers(0, 40, 2)
        image[row : row + 20, column : column + 20] = RED
        row, column = rng.integers(0, 60, 2)
        image[row : row + 3, column : column + 4] = GREEN
        center[:] = column + 1.5, row + 1
    return images, centers


def test_a_rare_colour_is_in_the_palette():
    palette = find_palette(scenes()[0], 3)
    for color in (TAN, GREEN, RED):
        assert np.abs(palette - color).sum(axis=1).min() < 3


def test_more_colours_than_there_are_do_no_harm():
    assert np.isfinite(find_palette(scenes()[0], 8)).all()


def fitted(images: np.ndarray, colors: int = 3) -> ColorMoments:
    moments = ColorMoments(colors)
    moments.fit_(images)
    return moments


def test_moments_are_those_of_a_slow_count():
    images, _ = scenes(6)
    images[0] = TAN
    moments = fitted(images)
    got, weight = moments(torch.from_numpy(images))
    got = (got * moments.scale + moments.mean).reshape(6, 3, 3)
    nearest = moments.nearest.numpy()
    for i, image in enumerate(images):
        level = (image // 16).astype(int)
        color = nearest[(level[..., 0] * 16 + level[..., 1]) * 16 + level[..., 2]]
        for k in range(3):
            rows, columns = np.nonzero(color == k)
            assert got[i, k, 0] == pytest.approx(len(rows) ** 0.5, abs=1e-3)
            assert weight.reshape(6, 3, 3)[i, k].tolist() == [1.0, float(len(rows) > 2), float(len(rows) > 2)]
            if len(rows) > 2:
                assert got[i, k, 1:].tolist() == pytest.approx([columns.mean(), rows.mean()], abs=1e-3)


def test_targets_have_mean_zero_and_deviation_one():
    target, weight = fitted(scenes()[0])(torch.from_numpy(scenes()[0]))
    present = weight.bool().all(dim=0)
    assert target[:, present].mean(dim=0).abs().max() < 1e-4
    assert (target[:, present].std(dim=0) < 1.05).all()


def test_the_button_can_be_read_from_the_moments_by_a_line():
    images, centers = scenes(80)
    target, _ = fitted(images)(torch.from_numpy(images))
    known = np.c_[target.numpy(), np.ones(80)]
    weights = np.linalg.lstsq(known[:60], centers[:60], rcond=None)[0]
    assert np.abs(known[60:] @ weights - centers[60:]).mean() < 1.5  # pixels, of 60


def test_the_loss_is_that_of_the_moments_that_count():
    images, _ = scenes(4)
    frames = torch.from_numpy(images)
    target, weight = both_cameras(images)(frames, frames)
    assert float(color_loss(target, target, weight)) == 0
    off = target + torch.arange(4.0)[:, None]
    by_hand = np.mean([0.5 * (i * weight[i]).square().sum() for i in range(4)])
    assert float(color_loss(off, target, weight)) == pytest.approx(float(by_hand), rel=1e-5)


def test_what_corrects_painted_colours_begins_with_them_and_adds_what_it_reads():
    page = CARRIED["prior_sees_all"] | {"color_coef": 1.0}
    model = WorldModel(tiny_config(corrects_painted_colors=True, **page), seed=1)
    feat = torch.randn(3, model.feat_dim, generator=torch_generator(1))
    state = model.state_from_feat(feat)
    painted = model.rssm.scene_track.paint(state.scene, state.outset, state.arm)
    assert torch.equal(model.read_colors(feat), painted)
    with torch.no_grad():
        model.color_decoder.from_feat[-1].weight.fill_(0.1)
    read = model.color_decoder.from_feat(feat)
    assert read.abs().min() > 0
    torch.testing.assert_close(model.read_colors(feat), painted + read)
    whole = WorldModel(tiny_config(**page), seed=1)
    assert torch.equal(whole.read_colors(feat), whole.color_decoder.from_feat(feat))


def test_what_corrects_painted_colours_is_taught_what_is_left_of_their_error():
    model = WorldModel(
        tiny_config(corrects_painted_colors=True, color_coef=1.0, **CARRIED["prior_sees_all"]), seed=1
    )
    batch = random_batch(2, 3, starts=[(0, 0), (1, 0)])
    target, weight = torch.randn(6, model.color_decoder.moments), torch.ones(6, model.color_decoder.moments)
    shape = (2, 3, -1)
    batch |= {TARGET: target.reshape(shape), WEIGHT: weight.reshape(shape)}
    output, _ = model.loss(batch, model.initial_state(2), torch_generator(2))
    observed = model.observe(
        model.embed(batch),
        batch["prev_action"],
        batch["is_first"],
        model.initial_state(2),
        torch_generator(2),
    )
    painted = model.rssm.painted(observed.feat.flatten(end_dim=1))
    by_hand = 0.5 * (painted - target).square().sum(-1).mean()
    torch.testing.assert_close(output.metrics["color_loss"], by_hand)


def test_painted_colours_are_exact_where_the_rest_is_computed_in_bf16():
    model = WorldModel(tiny_config(**LIKE_BASE), seed=1)
    feat = torch.randn(3, model.feat_dim, generator=torch_generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.read_colors(feat), model.rssm.painted(feat))
        assert model.rssm.painted(feat).dtype == torch.float32
    assert not model.rssm.painted(feat.requires_grad_(True)).requires_grad


def test_no_colours_are_read_where_none_are_decoded():
    model = WorldModel(tiny_config(), seed=1)
    with pytest.raises(ValueError, match=r"set world_model.losses.color_coef above 0"):
        model.read_colors(torch.zeros(1, model.feat_dim))


def both_cameras(images: np.ndarray) -> Colors:
    colors = Colors(3)
    colors.fit_(images, images[::-1].copy())
    return colors


@pytest.mark.parametrize(
    "page", [{"color_coef": 1.0}, {"measures_colors": True}], ids=["decoded", "measured"]
)
def test_the_palette_travels_in_the_checkpoint(page):
    model, episodes = WorldModel(tiny_config(**page)), toy_episodes()
    model.colors.fit_(episodes.image_static, episodes.image_gripper)
    back = WorldModel.from_checkpoint(model.to_checkpoint())
    for camera in ("image_static", "image_gripper"):
        want, got = (getattr(m.colors, camera) for m in (model, back))
        assert want.nearest.any()
        for name, value in want.named_buffers():
            assert torch.equal(value, got.get_buffer(name)), name


def test_without_weight_there_is_no_such_decoder_and_no_palette():
    model = WorldModel(tiny_config())
    assert model.color_decoder is model.colors is None


def test_measured_colours_stand_in_the_embedding_between_what_is_learned_and_the_arm():
    episodes = toy_episodes()
    plain, model = WorldModel(tiny_config(), seed=1), WorldModel(tiny_config(measures_colors=True), seed=1)
    model.colors.fit_(episodes.image_static, episodes.image_gripper)
    rows = slice(0, 6)
    batch = {
        "image_static": torch.from_numpy(episodes.image_static[rows]),
        "image_gripper": torch.from_numpy(episodes.image_gripper[rows]),
        "proprio": torch.from_numpy(episodes.proprio[rows]),
    }
    embed, without = model.embed(batch), plain.embed(batch)
    first, arm = plain.encoder.image_dim, -PROPRIO_DIM
    assert torch.equal(embed[:, :first], without[:, :first])
    assert torch.equal(embed[:, arm:], without[:, arm:])
    measured, _ = model.colors(batch["image_static"], batch["image_gripper"])
    assert torch.equal(embed[:, first:arm], measured)
    assert measured.std() > 0.5
    assert model.encoder.image_dim == first
    kept = ColorTargets(model.colors, 6).added({k: v[None] for k, v in batch.items()}, np.arange(6)[None])
    assert torch.equal(model.embed(kept)[0], embed)


def test_targets_are_found_once_a_frame_and_are_those_of_the_frame(monkeypatch):
    images, _ = scenes(6)
    colors = both_cameras(images)
    frames, known = torch.from_numpy(images), ColorTargets(colors, 6)
    asked = []
    find = colors.forward
    monkeypatch.setattr(colors, "forward", lambda *some: asked.append(len(some[0])) or find(*some))
    for rows in (np.array([[4, 0], [1, 4]]), np.array([[1, 5], [5, 0]]), np.array([[0, 4], [5, 1]])):
        batch = {"image_static": frames[rows], "image_gripper": frames.flip(0)[rows]}
        target, weight = color_targets(colors, known.added(batch, rows))
        want = find(frames[rows.ravel()], frames.flip(0)[rows.ravel()])
        assert torch.equal(target, want[0])
        assert torch.equal(weight, want[1])
    assert asked == [4, 2]


def test_a_loss_finds_the_moments_of_its_frames_once(monkeypatch):
    model = WorldModel(tiny_config(color_coef=1.0, measures_colors=True), seed=1)
    asked, find = [], model.colors.forward
    monkeypatch.setattr(model.colors, "forward", lambda *some: asked.append(len(some[0])) or find(*some))
    model.loss(random_batch(2, 3), model.initial_state(2), torch_generator(0))
    assert asked == [6]


@pytest.mark.parametrize("measures", [False, True], ids=["decoded", "measured"])
def test_training_with_kept_targets_is_training_without(monkeypatch, measures):
    def trained():
        model, episodes = tiny_world_model(color_coef=1.0, measures_colors=measures), toy_episodes()
        model.colors.fit_(episodes.image_static, episodes.image_gripper)
        objective = WorldModelObjective(model, episodes, tiny_training(), seed=0)
        return [objective.loss(step).loss.item() for step in range(8)]

    kept = trained()
    monkeypatch.setattr(ColorTargets, "added", lambda *known_batch_rows: known_batch_rows[1])
    assert trained() == kept
