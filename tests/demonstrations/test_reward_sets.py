import numpy as np
import pandas as pd
import pytest

from wam.demonstrations.replay_labels import label_recorded
from wam.demonstrations.reward_sets import (
    BEFORE,
    IMAGINED,
    REAL,
    RewardSet,
    concatenate,
    detection_table,
    held_out_set,
    imagined_features,
    labelled_features,
    nearest_unused,
    training_set,
)
from wam.world_model.featurize import featurize_segments


def make_set(labels, *, kind="real", episode=None, tcp=None):
    labels = np.array(labels, bool)
    proprio = np.zeros((len(labels), 18), np.float32)
    if tcp is not None:
        proprio[:, 0] = tcp
    return RewardSet(
        feat=np.arange(len(labels), dtype=np.float32)[:, None],
        proprio=proprio,
        label=labels,
        episode=np.zeros(len(labels), np.int64) if episode is None else np.array(episode),
        kind=np.full(len(labels), kind),
    )


@pytest.fixture
def demos(world_model, drawer_episodes):
    segments = pd.DataFrame(
        [("open_drawer", "demo", 0, 11), ("open_drawer", "demo", 13, 20)],
        columns=["task", "role", "start_row", "end_row"],
    )
    features = featurize_segments(
        world_model, drawer_episodes, segments, start_repeats=2, fresh_samples=2, long_context=True, seed=0
    )
    return features, label_recorded(segments, drawer_episodes).frames


def test_every_context_of_a_segment_is_an_episode_with_the_same_labels(demos):
    real = labelled_features(*demos)
    assert len(real) == 3 * (12 + 8)
    assert np.bincount(real.episode).tolist() == [12] * 3 + [8] * 3
    for episode in range(3):
        assert np.flatnonzero(real.label[real.episode == episode]).tolist() == [7, 8, 9, 10, 11]
    assert not real.label[real.episode > 2].any()


def test_only_labelled_segments_are_taken(demos):
    features, labels = demos
    assert len(labelled_features(features, labels[labels.segment == 1])) == 3 * 8


def test_a_feature_without_label_stops(demos):
    features, labels = demos
    with pytest.raises(ValueError, match="feature but no label"):
        labelled_features(features, labels[labels.step < 11])


def test_imagined_frames_carry_the_label_of_the_frame_they_imagine(world_model, demos):
    imagined = imagined_features(world_model, *demos, seed=0)
    assert len(imagined) == 3 * (11 + 7)
    assert np.flatnonzero(imagined.label[imagined.episode == 0]).tolist() == [6, 7, 8, 9, 10]
    assert np.isnan(imagined.proprio).all()
    assert set(imagined.kind) == {IMAGINED}


def test_a_training_set_is_balanced_and_repeats(world_model, demos):
    parts = [labelled_features(*demos), imagined_features(world_model, *demos, seed=0)]
    whole = training_set(parts, seed=1, negatives=3)
    assert whole.label.sum() == 3 * 5 * 2
    assert (~whole.label).sum() == 3 * 2 * 6
    again = training_set(parts, seed=1, negatives=3)
    np.testing.assert_array_equal(whole.feat, again.feat)
    assert set(whole.real_only.kind) == {REAL}
    assert np.isfinite(whole.real_only.proprio).all()


def test_a_training_set_needs_both_labels():
    with pytest.raises(ValueError, match="needs both"):
        training_set([make_set([False] * 5)], seed=0)


def test_episodes_of_parts_stay_apart():
    whole = concatenate([make_set([True] * 2, episode=[0, 1]), make_set([False] * 2, episode=[0, 1])])
    assert whole.episode.tolist() == [0, 1, 2, 3]


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
