import numpy as np
import pandas as pd
import pytest
import torch
from reward_frames import make_set

from wam.demonstrations.replay_labels import label_recorded
from wam.demonstrations.reward_sets import (
    IMAGINED,
    REAL,
    concatenate,
    imagined_features,
    labelled_features,
    training_set,
)
from wam.reward.inputs import classifier_input
from wam.world_model.featurize import featurize_segments


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


def test_every_frame_carries_the_first_feature_of_its_segment_and_context(world_model, demos):
    features, _ = demos
    for frames in (labelled_features(*demos), imagined_features(world_model, *demos, seed=0)):
        for episode in range(6):
            segment, context = divmod(episode, 3)
            first = (features["segment"] == segment) & (features["context"] == context)
            first &= features["step"] == 0
            starts = frames.start_feat[frames.episode == episode]
            np.testing.assert_array_equal(starts, np.repeat(features["feat"][first], len(starts), axis=0))


def test_starts_stay_with_their_frames_in_a_training_set(world_model, demos):
    parts = [labelled_features(*demos), imagined_features(world_model, *demos, seed=0)]
    whole = training_set(parts, seed=1, negatives=3)
    before = concatenate(parts)
    for frame in range(0, len(whole), 7):
        source = np.flatnonzero((before.feat == whole.feat[frame]).all(1))
        assert (before.start_feat[source] == whole.start_feat[frame]).all(1).any()
    joined = whole.inputs(sees_start=True)
    assert np.shares_memory(joined, whole.with_start), "gigabytes are not copied"
    parts = torch.from_numpy(whole.feat), torch.from_numpy(whole.start_feat)
    np.testing.assert_array_equal(joined, classifier_input(*parts, sees_start=True).numpy())
    np.testing.assert_array_equal(whole.inputs(sees_start=False), whole.feat)


def test_features_without_the_first_frame_stop(demos):
    features, labels = demos
    late = features["step"] > 0
    with pytest.raises(ValueError, match="6 of 6 episodes lack the feature of their first frame"):
        labelled_features({name: values[late] for name, values in features.items()}, labels)


def test_a_training_set_is_balanced_and_repeats(world_model, demos):
    parts = [labelled_features(*demos), imagined_features(world_model, *demos, seed=0)]
    whole = training_set(parts, seed=1, negatives=3)
    assert whole.label.sum() == 3 * 5 * 2
    assert (~whole.label).sum() == 3 * 2 * 6
    again = training_set(parts, seed=1, negatives=3)
    np.testing.assert_array_equal(whole.feat, again.feat)
    real = whole.kind == REAL
    assert set(whole.kind) == {REAL, IMAGINED}
    assert np.isfinite(whole.proprio[real]).all()
    assert np.isnan(whole.proprio[~real]).all(), "an imagined frame has no measured arm"


def test_a_training_set_needs_both_labels():
    with pytest.raises(ValueError, match="needs both"):
        training_set([make_set([False] * 5)], seed=0)


def test_episodes_of_parts_stay_apart():
    whole = concatenate([make_set([True] * 2, episode=[0, 1]), make_set([False] * 2, episode=[0, 1])])
    assert whole.episode.tolist() == [0, 1, 2, 3]
