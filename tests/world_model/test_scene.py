"""The carried scene: places are found where hands move things, and strokes beside a thing move nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_world import CARRIED, tiny_config, tiny_world_model, toy_episodes

from wam.contracts import config_from_dict
from wam.seeding import torch_generator
from wam.tasks.table import BUTTON, LED, LIGHTBULB, SCENE_UNITS, SLIDER, SWITCH
from wam.world_model import scene_training
from wam.world_model.contact_places import FOLLOWED, PRESSED, ContactPlaces, Margins, contacts
from wam.world_model.model import WorldModel
from wam.world_model.scene import (
    JOINTS,
    POSE,
    POSITION,
    SCENE_DIM,
    SceneTrack,
    carried_scene,
    flipped,
)
from wam.world_model.scene_training import SceneFrames, SceneObjective, fit_scene_
from wam.world_model.training_config import SceneTrainingConfig

MOMENTS = 6
FIELDS = ("colors", "counts", "arm", "action", "scene")
PAGE = config_from_dict(
    SceneTrainingConfig,
    {
        "steps": 12,
        "batch": 64,
        "most_age": 3,
        "optimizer": {"learning_rate": 1e-2, "grad_clip_norm": 100.0},
    },
)


def strokes(layouts: int, *, seed: int, offset: float = 0.0) -> SceneFrames:
    """Episodes of eight frames in which a hand drags the drawer along y, each in a layout of its own.

    The drawer is at x = moment 0; the hand passes it ``offset`` beside, and then it stays.
    """
    generator = torch_generator(seed, "strokes")
    place = torch.rand(layouts, generator=generator) * 0.8 + 0.1
    colors = torch.randn(layouts, 1, MOMENTS, generator=generator).repeat(1, 8, 1)
    colors[..., 0] = 4 * (place[:, None] - 0.5)
    arm = torch.full((layouts, 8, 18), 0.5)
    arm[..., 0] = place[:, None] + offset + 0.002 * torch.randn(layouts, 8, generator=generator)
    arm[..., 1] = 0.3 + 0.02 * torch.arange(8)
    action = torch.zeros(layouts, 8, 7)
    action[..., 1] = 1.0
    scene = torch.zeros(layouts, 8, SCENE_DIM)
    scene[..., 0] = 0.2 * torch.arange(8) if offset == 0 else 0.0
    first = np.repeat(8 * np.arange(layouts), 8)
    return SceneFrames(*(x.flatten(end_dim=1) for x in (colors, colors < 9, arm, action, scene)), first)


def joined(*parts: SceneFrames) -> SceneFrames:
    """Frames of several recordings as one."""
    starts = np.cumsum([0, *(len(part.first) for part in parts)])
    tensors = (torch.cat([getattr(p, n) for p in parts]) for n in FIELDS)
    first = np.concatenate([part.first + start for part, start in zip(parts, starts, strict=False)])
    return SceneFrames(*tensors, first)


def fresh_track(seed: int = 1) -> SceneTrack:
    torch.manual_seed(seed)
    track = SceneTrack((32,), (32,), MOMENTS)
    track.reset_()
    return track


def learned(frames: SceneFrames, steps: int) -> SceneTrack:
    track = fresh_track()
    objective = SceneObjective(track, frames, PAGE, seed=1)
    optimizer = torch.optim.Adam(track.parameters(), 3e-3)
    for step in range(steps):
        optimizer.zero_grad()
        objective.loss(step).loss.backward()
        optimizer.step()
    return track


@pytest.mark.slow
def test_a_stroke_beside_a_thing_moves_nothing_in_layouts_that_were_not_seen():
    """Three recordings in four hit: what tells a miss is the distance, which no input holds as such."""
    misses = [strokes(12, seed=2 + n, offset=offset) for n, offset in enumerate((-0.08, 0.08))]
    track = learned(joined(strokes(80, seed=1), *misses), 600)
    for offset, moves in ((0.0, 0.2), (0.08, 0.0), (-0.08, 0.0)):
        new = strokes(40, seed=9, offset=offset)
        rows = torch.arange(0, 320, 8) + 3
        after = track.move(
            new.scene[rows], new.colors[rows], new.arm[rows], new.arm[rows + 1], new.action[rows]
        )
        change = (after - new.scene[rows])[:, 0]
        assert float((change - moves).abs().mean()) < 0.04, (offset, change.mean())


def test_places_of_contact_are_found_where_hands_move_things():
    frames = strokes(60, seed=1)
    rows = torch.arange(480)[torch.arange(480) % 8 < 7]
    moved = contacts(frames.scene[:, :JOINTS], rows, torch.full((JOINTS,), 0.03))
    assert [len(one) for one in moved] == [420, 0, 0, 0]
    places = ContactPlaces(JOINTS, MOMENTS + SCENE_DIM)
    known = torch.cat((frames.colors, frames.scene * 2 - 1), dim=-1)
    hands = [frames.arm[moved[0] + later, POSITION] for later in (0, 1)]
    error = places.fit_(0, known[moved[0]], *hands, FOLLOWED)
    assert float(error[0]) < 0.02
    assert torch.equal(places.weight[1:], torch.zeros_like(places.weight[1:])), "the others were not asked"
    near = places.nearness(frames.arm[:1, POSITION], places(known[:1]))
    assert near.shape == (1, ContactPlaces.nearness_dim(JOINTS))
    assert float(near.abs().max()) <= 1


def places_of(hidden: float, margins: Margins = FOLLOWED) -> ContactPlaces:
    """Places of strokes along y, 1 m to a unit; in a share of them nothing says where the thing is."""
    frames = strokes(200, seed=1)
    colors, rows = frames.colors.clone(), torch.arange(1600)[torch.arange(1600) % 8 < 7]
    unseen = torch.rand(200, generator=torch_generator(2, "hidden")) < hidden
    colors[unseen.repeat_interleave(8), 0] = 0.0
    places = ContactPlaces(JOINTS, MOMENTS + SCENE_DIM)
    known = torch.cat((colors, frames.scene * 2 - 1), dim=-1)[rows]
    places.fit_(0, known, frames.arm[rows, POSITION], frames.arm[rows + 1, POSITION], margins)
    return places


def test_things_that_the_first_frame_does_not_show_leave_hands_no_longer():
    """In one frame of twenty the thing is hidden, and up to 40 cm from where it is told to be."""
    seen, hidden = places_of(0.0), places_of(0.05)
    assert float(seen.farthest[0, 0]) < FOLLOWED.across + 0.02
    widths = [float((places.farthest - places.nearest)[0, 0]) for places in (seen, hidden)]
    assert widths[1] < widths[0] + 0.2  # all that is recorded spans .7


def test_margins_lie_beyond_what_was_recorded_on_both_sides_along_the_stroke_and_across():
    """Hands stroke along y, so x and z are across."""
    recorded = places_of(0.0, Margins(across=0.0, along=0.0))
    for margins in (FOLLOWED, PRESSED):
        bounds = places_of(0.0, margins)
        beyond = torch.tensor([margins.across, margins.along, margins.across])
        torch.testing.assert_close(bounds.farthest[0] - recorded.farthest[0], beyond)
        torch.testing.assert_close(recorded.nearest[0] - bounds.nearest[0], beyond)


def test_what_is_pressed_has_the_margins_of_a_press_and_what_is_followed_those_of_a_door(monkeypatch):
    given = {}

    def noted(_: ContactPlaces, joint: int, *hands: torch.Tensor | Margins) -> None:
        given[joint] = hands[-1]

    monkeypatch.setattr(ContactPlaces, "fit_", noted)
    SceneObjective(fresh_track(), joined(strokes(20, seed=1), presses(20, seed=2)), PAGE, seed=1)
    assert given == {SLIDER: FOLLOWED, BUTTON: PRESSED}


def test_hands_out_of_reach_move_nothing_whatever_the_network_makes_of_them():
    frames = strokes(60, seed=1)
    track = fresh_track()
    objective = SceneObjective(track, frames, PAGE, seed=1)
    assert objective.modules() is track
    with torch.no_grad():
        track.motion.forward = lambda x: torch.ones(*x.shape[:-1], 2 * JOINTS)  # all moves, by 1
    rows = torch.arange(0, 480, 8)
    beside, ahead = 0, 1  # of a stroke along y
    for axis, offset, share in (
        (beside, 0.0, 1.0),
        (beside, 0.1, 0.0),
        (beside, -0.1, 0.0),
        (ahead, 0.04, 1.0),
        (ahead, 0.3, 0.0),
    ):
        hand = frames.arm[rows].clone()
        hand[:, axis] += offset
        known = frames.colors[rows], hand, hand, frames.action[rows]
        after = track.move(frames.scene[rows] * 0, *known)
        assert float((after[:, 0] > 0).float().mean()) == pytest.approx(share, abs=0.05), (
            axis,
            offset,
        )


def presses(count: int, *, seed: int) -> SceneFrames:
    """Episodes of eight frames in which a hand presses the button by its height; LED flips half way down."""
    frames = strokes(count, seed=seed)
    depth = torch.rand(count, generator=torch_generator(seed, "depths"))[:, None] * torch.linspace(0, 1, 8)
    arm, scene = frames.arm.view(count, 8, 18).clone(), torch.zeros(count, 8, SCENE_DIM)
    arm[..., 1], arm[..., 2] = 0.5, 0.6 - 0.1 * depth
    scene[..., BUTTON], scene[..., LED] = depth, (depth > 0.5).float()
    return replace(frames, arm=arm.flatten(0, 1), scene=scene.flatten(0, 1))


@pytest.mark.slow
def test_hands_move_joints_and_joints_switch_lights():
    track = learned(presses(120, seed=1), 900)
    new = presses(60, seed=7)
    scene, rows = new.scene[::8], torch.arange(0, 480, 8)
    for step in range(7):
        known = new.colors[rows], new.arm[rows + step], new.arm[rows + step + 1], new.action[rows + step]
        scene = track.move(scene, *known)
    depth = new.scene[7::8, BUTTON]
    assert float((scene[:, BUTTON] - depth).abs().mean()) < 0.1
    clear = (depth - 0.5).abs() > 0.15
    assert float(((scene[:, LED] > 0.5) == (depth > 0.5))[clear].float().mean()) > 0.9
    assert float(scene[:, LIGHTBULB].max()) < 0.1, "nobody touched the switch"


@pytest.mark.slow
def test_where_a_hand_has_hold_a_joint_is_found_again_from_a_wrong_one():
    """What is carried is never exact; a hand that moves a thing says where it is."""
    track, new = learned(strokes(80, seed=1), 400), strokes(40, seed=9)
    rows = torch.arange(0, 320, 8) + 3
    for error in (-0.1, 0.1):
        wrong = new.scene[rows].clone()
        wrong[:, 0] += error
        after = track.move(wrong, new.colors[rows], new.arm[rows], new.arm[rows + 1], new.action[rows])
        assert float((after - new.scene[rows + 1])[:, 0].abs().mean()) < 0.06


@pytest.mark.slow
def test_colours_are_painted_from_outset_scene_and_arm_alone():
    """A thing that follows the drawer, one that follows the hand, and what never moves."""
    generator = torch_generator(3)
    count = 4_000
    scene, arm = torch.rand(count, SCENE_DIM, generator=generator), torch.rand(count, 18, generator=generator)
    outset = torch.randn(count // 2, MOMENTS, generator=generator).repeat_interleave(2, dim=0)
    colors = outset.clone()
    colors[1::2, 0], colors[1::2, 1] = scene[1::2, 1], arm[1::2, 0]
    counts = torch.ones(count, MOMENTS, dtype=torch.bool)
    counts[1::2, 2] = False
    colors[1::2, 2] = 50.0
    first = np.repeat(np.arange(0, count, 2), 2)
    frames = SceneFrames(colors, counts, arm, torch.zeros(count, 7), scene, first)
    track, rows = fresh_track(), torch.arange(1, count, 2)
    objective = SceneObjective(track, frames, PAGE, seed=1)
    optimizer = torch.optim.Adam(track.painter.parameters(), 3e-3)
    for step in range(600):
        optimizer.zero_grad()
        chosen = rows[torch.randint(len(rows), (128,), generator=torch_generator(step))]
        objective._painting_loss(chosen, outset[chosen]).backward()
        optimizer.step()
    error = (track.paint(scene[rows], outset[rows], arm[rows]) - colors[rows]).detach().square().mean(dim=0)
    assert float(error[[0, 1, 3, 4, 5]].max()) < 0.05, error
    assert float(error[2]) > 1000, "what does not count was not learned"


@pytest.mark.slow
def test_what_no_hand_touches_stays_to_the_bit_however_wrong_it_is():
    """A pose that touches nothing is no news of a thing, though in play it goes along with where it is."""
    misses = [strokes(12, seed=2 + n, offset=offset) for n, offset in enumerate((-0.08, 0.08))]
    track, away = learned(joined(strokes(80, seed=1), *misses), 600), strokes(40, seed=9, offset=0.08)
    rows = torch.arange(0, 320, 8) + 3
    scene = away.scene[rows].clone()
    scene[:, 0] += 0.1 * torch.rand(40, generator=torch_generator(2))
    after = track.move(scene, away.colors[rows], away.arm[rows], away.arm[rows + 1], away.action[rows])
    stays = (after[:, :JOINTS] == scene[:, :JOINTS]).all(dim=1)
    assert float(stays.float().mean()) > 0.9


def test_lights_stay_probabilities_and_joints_within_what_was_recorded():
    track = fresh_track()
    scene = torch.rand(50, SCENE_DIM)
    arm, outset, action = torch.rand(50, 18), torch.randn(50, MOMENTS), torch.rand(50, 7)
    track.highest.fill_(0.6)
    after = track.move(scene, outset, arm, arm, action)
    odds, step = track.change_raw(scene, outset, arm, arm, action)
    joints = torch.where(odds > 0, scene[:, :JOINTS] + step, scene[:, :JOINTS])
    torch.testing.assert_close(after[:, :JOINTS], joints.clamp(0, 0.6))
    assert bool((odds > 0).any())
    assert bool((odds <= 0).any())
    flip = torch.sigmoid(track.flip_raw(scene, after[:, :JOINTS]))
    moved = (after != scene)[:, [BUTTON, SWITCH]].any(dim=1, keepdim=True)
    torch.testing.assert_close(after[:, JOINTS:], flipped(scene[:, JOINTS:], flip, moved))
    assert bool(((after >= 0) & (after <= 1))[:, JOINTS:].all())
    read = track.read(outset, outset, arm)
    assert bool(((read >= 0) & (read <= 1))[:, JOINTS:].all())


def test_a_press_that_takes_several_frames_flips_a_light_once():
    """As draws of their own .3, .3, .3 never lead beyond a half; here they are parts of one event."""
    for start in (0.0, 1.0):
        light, seen = torch.tensor([[start, start]]), []
        for flip, moves in ((0.3, True), (0.3, True), (0.3, True), (0.1, True), (0.3, False), (0.3, False)):
            light = flipped(light, torch.tensor([[flip, 0.0]]), torch.tensor([[moves]]))
            seen.append(light)
        on = torch.cat(seen) > 0.5
        assert on[:, 0].tolist() == [bool(start)] + 5 * [not start]
        assert on[:, 1].tolist() == 6 * [bool(start)]
        assert light.tolist() == [[1 - start, start]], "sure again where nothing moves"


def test_less_than_half_a_press_flips_nothing():
    light = torch.tensor([[0.0]])
    for flip, moves in ((0.2, True), (0.2, True), (0.2, False), (0.2, True)):
        light = flipped(light, torch.tensor([[flip]]), torch.tensor([[moves]]))
    assert float(light) == pytest.approx(0.2), "what another press began with is forgotten"


@pytest.mark.parametrize("overshoot", [0.0, 0.03])
def test_pressing_hands_are_shown_further_on_their_way_and_no_others(overshoot, monkeypatch):
    """In play a button stops the hand, and lower ones have missed it; an imagined one goes on."""
    monkeypatch.setattr(scene_training, "HAND_BLUR", 0.0)
    frames, track, shown = presses(60, seed=1), fresh_track(), []
    objective = SceneObjective(track, frames, replace(PAGE, overshoot=overshoot), seed=1)
    change = track.change_raw

    def noted(scene, outset, arm, moved, action):
        shown.append((arm, moved))
        return change(scene, outset, arm, moved, action)

    monkeypatch.setattr(track, "change_raw", noted)
    rows = torch.arange(480)[torch.arange(480) % 8 == 5]
    objective._change_loss(rows, frames.colors[rows], torch_generator(1))
    further = [arm - frames.arm[at] for arm, at in zip(shown[0], (rows, rows + 1), strict=True)]
    torch.testing.assert_close(*further)
    moves = (frames.scene[rows + 1] - frames.scene[rows])[:, BUTTON] >= 0.025
    assert bool(moves.any())
    assert bool((~moves).any())
    assert not further[0][~moves].any()
    down = -further[0][moves][:, 2]
    assert bool((down >= 0).all())
    assert float(further[0].norm(dim=1).max()) <= overshoot + 1e-6
    assert float((down > 0).float().mean()) == pytest.approx(0.5 if overshoot else 0.0, abs=0.25)


def test_joint_angles_do_not_move_things():
    """In imagination they drift; what counts is the hand."""
    track = fresh_track()
    arm, outset, action = torch.rand(5, 18), torch.randn(5, 6), torch.rand(5, 7)
    scene, other = torch.rand(5, SCENE_DIM), arm.clone()
    other[:, POSE.stop :] = 0.9
    assert torch.equal(
        track.move(scene, outset, arm, arm, action), track.move(scene, outset, other, other, action)
    )


def test_joints_are_carried_in_their_units():
    state = torch.arange(24.0).repeat(2, 1)
    want = [n / unit for n, unit in enumerate(SCENE_UNITS)]
    torch.testing.assert_close(carried_scene(state)[1], torch.tensor(want))


def test_it_is_read_on_frames_and_moved_in_imagination():
    model = tiny_world_model(**CARRIED["carries_all"])
    embed = torch.randn(3, model.embed_dim)
    none, noise = torch.zeros(3, dtype=torch.bool), model.noise(3, generator=torch_generator(1))
    seen, _ = model.rssm.observe_step(embed, torch.zeros(3, 7), none, model.initial_state(3), noise)
    track, outset = model.rssm.scene_track, model.rssm.outset_dim
    colors, arm = embed[:, -18 - outset : -18], embed[:, -18:]
    torch.testing.assert_close(seen.scene, track.read(colors, colors, arm))
    at = model.config.scene_at
    assert torch.equal(seen.feat[:, at : at + SCENE_DIM], seen.scene)
    model.rssm.arm_motion.weight[1] = 0.05
    action = torch.rand(3, 7)
    later = model.imagine_step(seen, action, torch_generator(2))
    want = track.move(seen.scene, seen.outset, seen.arm, later.arm, action)
    torch.testing.assert_close(later.scene, want)
    other = seen._replace(scene=seen.scene + 1)
    assert not torch.allclose(model.imagine_step(other, action, torch_generator(2)).deter, later.deter)


def fitted(seed: int, steps: int = 12) -> WorldModel:
    model = WorldModel(tiny_config(**CARRIED["carries_all"]), seed=1)
    episodes = toy_episodes((9, 7, 12), seed=3)
    generator = torch_generator(5)
    colors = torch.randn(episodes.num_frames, model.rssm.outset_dim, generator=generator)
    fit_scene_(model, episodes, (colors, colors < 9), PAGE, seed=seed, stop_after=steps)
    return model


def test_fitting_changes_nothing_else_and_follows_its_seed():
    before = WorldModel(tiny_config(**CARRIED["carries_all"]), seed=1).state_dict()
    models = [fitted(seed).state_dict() for seed in (1, 1, 2)]
    changed = {name for name, value in models[0].items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("rssm.scene_track.") for name in changed)
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())
    assert not all(torch.equal(value, models[2][name]) for name, value in models[0].items())
    assert not any(value.requires_grad for value in fitted(1).rssm.scene_track.parameters())


def test_what_it_cannot_be_learned_from_is_named():
    frames = strokes(2, seed=1)
    alone = replace(frames, first=np.arange(16))
    with pytest.raises(ValueError, match=r"no frame follows another: .*carries_scene, and what wants it, to"):
        SceneObjective(fresh_track(), alone, PAGE, seed=1)
    for name in ("prior_sees_carried", "corrects_painted_colors"):
        with pytest.raises(ValueError, match=rf"carries_scene is false, .*{name} true: colours are painted"):
            tiny_config(**CARRIED["carries_places"], **{name: True})
    with pytest.raises(ValueError, match=r"carries_scene is true, carries_arm or carries_outset false"):
        tiny_config(carries_scene=True)
