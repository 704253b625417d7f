"""Probes along imagination: three lines from the same moments, all true at the start that they share."""

import numpy as np
import pytest
from toy_world import tiny_world_model, toy_episodes

from wam.diagnostics.config import ProbeConfig
from wam.diagnostics.drift import FILTERED, ONE_FRAME, SEEN, measure_drift
from wam.diagnostics.frames import JudgedFrames, judged_frames
from wam.diagnostics.probes import misses
from wam.diagnostics.quantities import quantities
from wam.diagnostics.ridge import LinearProbes
from wam.evaluation.open_loop import choose_sequences
from wam.world_model.model import WorldModel

LISTED = quantities()
PAGE = ProbeConfig(max_frames=10, ridge=(1.0,), episodes="validation", max_episodes=3, sequences=4)


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return tiny_world_model()


@pytest.fixture(scope="module")
def judged(model: WorldModel) -> JudgedFrames:
    return judged_frames(model, toy_episodes(), PAGE, seed=0, batch=3)


@pytest.fixture(scope="module")
def probes(model: WorldModel) -> LinearProbes:
    rng = np.random.default_rng(0)
    zero = np.zeros(len(LISTED))
    weight = rng.normal(size=(model.feat_dim, len(LISTED)))
    return LinearProbes(tuple(q.name for q in LISTED), weight, zero, zero, zero)


def measure(model: WorldModel, probes: LinearProbes, judged: JudgedFrames, steps: int = 6, seed: int = 0):
    return measure_drift(model, probes, judged, LISTED, sequences=4, steps=steps, start_repeats=2, seed=seed)


def test_there_is_a_score_for_every_line_quantity_and_step(model, probes, judged) -> None:
    table = measure(model, probes, judged)
    counts = table.groupby(["start", "quantity"])["step"].agg(list)
    assert set(counts.index.get_level_values("start")) == {SEEN, FILTERED, ONE_FRAME}
    assert all(steps == list(range(7)) for steps in counts)
    assert table["score"].notna().all()


def test_what_is_seen_is_scored_on_the_recorded_frames(model, probes, judged) -> None:
    table = measure(model, probes, judged)
    rows = choose_sequences(judged.episodes, 4, 7, 0)
    wanted = misses(probes.read(judged.feat[rows]), judged.truth[rows], LISTED).mean(axis=0)
    found = table[(table["start"] == SEEN) & (table["quantity"] == "drawer")]["score"]
    place = [q.name for q in LISTED].index("drawer")
    np.testing.assert_allclose(found, wanted[:, place])


def test_imagination_begins_with_what_was_seen_and_then_leaves_it(model, probes, judged) -> None:
    table = measure(model, probes, judged).pivot_table(
        index=["quantity", "step"], columns="start", values="score"
    )
    start, later = table.xs(0, level="step"), table.xs(6, level="step")
    np.testing.assert_allclose(start[FILTERED], start[SEEN])
    assert not np.allclose(start[ONE_FRAME], start[SEEN])
    assert not np.allclose(later[FILTERED], later[SEEN])


def test_it_goes_as_far_as_the_longest_episode_allows_and_repeats(model, probes, judged) -> None:
    table = measure(model, probes, judged, steps=500)
    assert table["step"].max() == 25
    assert measure(model, probes, judged).equals(measure(model, probes, judged))
