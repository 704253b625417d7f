"""What imagined hands move, on worlds whose imagination is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toy_world import CARRIED, tiny_world_model, toy_episodes

from wam.diagnostics import events
from wam.diagnostics.events import COLUMNS, MOVED, _figures, measure_events
from wam.diagnostics.frames import JudgedFrames
from wam.diagnostics.quantities import quantities, values_at
from wam.diagnostics.ridge import LinearProbes
from wam.tasks.table import DRAWER, LED, LIGHTBULB, SLIDER
from wam.world_model.model import WorldModel

LISTED = quantities()
STEPS = 8


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return tiny_world_model()


@pytest.fixture(scope="module")
def probes(model: WorldModel) -> LinearProbes:
    """Read the first numbers of the features, as they are."""
    weight = np.eye(model.feat_dim, len(LISTED))
    zero = np.zeros(len(LISTED))
    return LinearProbes(tuple(q.name for q in LISTED), weight, zero, np.ones(model.feat_dim), zero)


def judged(model: WorldModel, *, moves: bool) -> JudgedFrames:
    """Two episodes of 16 frames; half way a drawer opens by 20 cm and an LED goes on, or nothing does."""
    episodes = toy_episodes((16, 16))
    scene = np.zeros_like(episodes.scene_state)
    if moves:
        for first in episodes.episode_start:
            scene[first + 5 : first + 16, DRAWER] = 0.2
            scene[first + 5 : first + 16, LED] = 1.0
    episodes = replace(episodes, scene_state=scene)
    truth = values_at(replace(episodes, layout=None), np.arange(32))
    feat = np.zeros((32, model.feat_dim), np.float32)
    feat[:, : len(LISTED)] = truth
    return JudgedFrames(episodes, feat, truth, np.repeat([0, 1], 16))


def imagine(monkeypatch, change):
    """Imagination that adds ``change`` to what is read of the start."""

    def end(_model, frames, rows, _steps, _seed):
        return frames.feat[rows] + change(frames, rows)

    monkeypatch.setattr(events, "_imagined_end", end)


def truly(frames, rows):
    return frames.feat[rows + STEPS] - frames.feat[rows]


def measured(model, probes, frames):
    table = measure_events(model, probes, frames, LISTED, steps=STEPS, seed=0)
    assert list(table.columns) == list(COLUMNS)
    return table.set_index("quantity")


def test_a_true_imagination_moves_all_that_is_moved(model, probes, monkeypatch) -> None:
    imagine(monkeypatch, truly)
    table = measured(model, probes, judged(model, moves=True))
    for name, guess in (("drawer", 20.0), ("led", 1.0)):
        line = table.loc[name]
        assert line["moved"] > 0
        assert line["noticed"] == pytest.approx(1)
        assert line["moved_error"] == pytest.approx(0, abs=1e-5)
        assert line["moved_guess"] == pytest.approx(guess)
    assert table.loc["slider", "moved"] == table.loc["bulb", "moved"] == 0
    assert table.loc["slider", "made_up"] == table.loc["slider", "still_error"] == 0


def test_one_in_which_nothing_moves_notices_nothing(model, probes, monkeypatch) -> None:
    imagine(monkeypatch, lambda frames, rows: 0 * frames.feat[rows])
    table = measured(model, probes, judged(model, moves=True))
    for name in ("drawer", "led"):
        line = table.loc[name]
        assert line["noticed"] == 0
        assert line["moved_error"] == pytest.approx(line["moved_guess"])


@pytest.mark.parametrize(("read", "noticed"), [((0.3, 0.7), 1.0), ((0.6, 1.2), 0.0)])
def test_a_light_has_changed_where_it_is_read_on_the_other_side(read, noticed) -> None:
    figures = _figures(np.array([read]), np.array([[0.0, 1.0]]), 1, is_light=True)
    assert figures["noticed"] == noticed


def test_what_moves_by_itself_is_seen(model, probes, monkeypatch) -> None:
    places = {name: [q.name for q in LISTED].index(name) for name in ("drawer", "led")}

    def wander(_frames, rows):
        change = np.zeros((len(rows), model.feat_dim), np.float32)
        change[:, places["drawer"]], change[::2, places["led"]] = -(MOVED + 1), 1.0
        return change

    imagine(monkeypatch, wander)
    table = measured(model, probes, judged(model, moves=False))
    assert table.loc["drawer", "made_up"] == 1
    assert table.loc["drawer", "still_error"] == pytest.approx(MOVED + 1)
    assert table.loc["led", "made_up"] == pytest.approx(0.5, abs=0.1)
    assert np.isnan(table.loc["drawer", "noticed"])


def test_it_imagines_with_the_actions_of_each_stretch(model, monkeypatch) -> None:
    frames, rows = judged(model, moves=True), np.array([3, 18])
    asked = []

    def imagined(_model, start, actions, *, seed):
        asked.append((start, actions, seed))
        steps = np.arange(1.0, 1 + 2 * STEPS, dtype=np.float32)
        return SimpleNamespace(feat=np.repeat(steps[:, None], start.shape[1], axis=1))

    monkeypatch.setattr(events, "imagine_demonstrations", imagined)
    end = events._imagined_end(model, frames, rows, STEPS, 7)
    [(start, actions, seed)] = asked
    np.testing.assert_array_equal(start, frames.feat[rows])
    for own, first in zip(actions, rows, strict=True):
        np.testing.assert_array_equal(own, frames.episodes.action[first : first + STEPS + 1])
    assert seed == 7
    assert end[:, 0].tolist() == [STEPS, 2 * STEPS], "the last imagined frame of each"


def test_the_carried_scene_is_read_where_there_is_one(probes) -> None:
    carrying = tiny_world_model(**CARRIED["carries_all"])
    frames = judged(tiny_world_model(), moves=True)
    feat = np.random.default_rng(0).random((32, carrying.feat_dim)).astype(np.float32)
    at = carrying.config.scene_at
    feat[:, at : at + 6] = 0.0
    frames = replace(frames, feat=feat)
    table = measured(carrying, probes, frames)
    assert set(table.index) == {"drawer", "slider", "bulb", "led"}
    assert table.loc["slider", "still"] > 0
    opened = feat.copy()
    opened[:, at + SLIDER], opened[:, at + LIGHTBULB] = 0.5, 1.0
    for index, unit in ((SLIDER, 10.0), (LIGHTBULB, 1.0), (DRAWER, 10.0)):
        read = events._read(carrying, probes, opened, index, 0)
        np.testing.assert_allclose(read, unit * opened[:, at + index])


def test_episodes_that_are_shorter_than_a_stretch_give_no_figure(model, probes) -> None:
    table = measure_events(model, probes, judged(model, moves=True), LISTED, steps=40, seed=0)
    assert (table[["moved", "still"]] == 0).all(axis=None)
    assert table["noticed"].isna().all()
