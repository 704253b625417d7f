import numpy as np
import pytest
from reward_frames import make_set

from wam.demonstrations.held_out import detection_table, held_out_set, nearest_unused
from wam.demonstrations.reward_sets import BEFORE, concatenate


def test_pairs_are_nearest_and_distinct():
    chosen, distance = nearest_unused(np.array([[0.0], [0.1]]), np.array([[5.0], [0.2], [0.05]]))
    assert chosen.tolist() == [2, 1]
    np.testing.assert_allclose(distance, [0.05, 0.1])


def test_more_points_than_candidates_stop():
    with pytest.raises(ValueError, match="cannot be paired"):
        nearest_unused(np.zeros((3, 1)), np.zeros((2, 1)))


def test_held_out_failures_are_at_the_poses_of_the_successes():
    successes = make_set([False] * 8 + [True] * 4, kind="full", tcp=np.arange(12) / 100)
    misses = make_set([False] * 40, kind="short", tcp=np.arange(40) / 100 + 0.001)
    held_out = held_out_set(successes, misses, seed=0, negatives=5)
    frames = held_out.frames
    assert frames.label.sum() == 4
    assert (~frames.label).sum() >= frames.label.sum()
    near = np.sort(frames.proprio[frames.kind == "short", 0])
    np.testing.assert_allclose(near, np.arange(8, 12) / 100 + 0.001, atol=1e-6)
    assert held_out.match_summary() == pytest.approx(
        {"pairs": 4, "median_m": 0.001, "p90_m": 0.001}, abs=1e-6
    )
    assert (frames.kind == BEFORE).sum() == 5


def test_successes_are_dropped_where_near_misses_run_short():
    held_out = held_out_set(make_set([True] * 9), make_set([False] * 3 + [True] * 3, kind="short"), seed=0)
    assert held_out.frames.label.sum() == 3
    assert (held_out.frames.kind == "short").sum() == 3


def test_successes_are_dealt_evenly_over_the_kinds():
    near, far = (
        make_set([False] * 30, kind="redundant"),
        make_set([False] * 30, kind="beside", tcp=np.full(30, 0.1)),
    )
    frames = held_out_set(make_set([True] * 10), concatenate([near, far]), seed=0).frames
    assert (frames.kind == "redundant").sum() == (frames.kind == "beside").sum() == 5


def test_a_held_out_set_needs_both():
    with pytest.raises(ValueError, match="got 0 and 2 frames"):
        held_out_set(make_set([False] * 4), make_set([False] * 2), seed=0)


def test_detection_by_kind():
    frames = concatenate(
        [
            make_set([True] * 4, kind="full"),
            make_set([False] * 4, kind="short"),
            make_set([False] * 2, kind="beside"),
        ]
    )
    predicted = np.array([True, True, True, False, True, False, False, False, False, False])
    table = detection_table(frames, predicted, undecidable=["short"]).set_index("kind")
    assert table.loc["all", "precision"] == pytest.approx(0.75)
    assert table.loc["all", "recall"] == pytest.approx(0.75)
    assert table.loc["decidable", "precision"] == 1.0
    assert table.loc["decidable", "recall"] == pytest.approx(0.75)
    assert table.loc["short", "false_positive_rate"] == pytest.approx(0.25)
    assert table.loc["beside", "false_positive_rate"] == 0.0
    assert np.isnan(table.loc["full", "false_positive_rate"])
    assert table.loc["all", ["positives", "negatives"]].tolist() == [4, 6]
