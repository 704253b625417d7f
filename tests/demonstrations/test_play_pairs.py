"""Pairs of frames of play: the oracle's label, one episode, a possible start, and the right features."""

from dataclasses import replace

import numpy as np

from wam.demonstrations import play_pairs
from wam.demonstrations.play_pairs import PLAY, PlayFrames, PlayPairs, draw_play_pairs
from wam.demonstrations.reward_sets import concatenate
from wam.tasks.predicates import is_feasible, succeeded
from wam.tasks.table import DRAWER
from wam.tasks.table import task as task_called

OPEN = task_called("open_drawer")


def drawn(episodes, count=40, most_steps=10, task="open_drawer") -> PlayPairs:
    return draw_play_pairs(episodes, task, count, most_steps=most_steps, seed=3)


def test_labels_are_the_oracles_and_as_many_of_each(drawer_episodes):
    pairs = drawn(drawer_episodes)
    scene = drawer_episodes.scene_state
    assert pairs.label.sum() == 40
    assert len(pairs.label) == 80
    for start, end, label in zip(pairs.start, pairs.end, pairs.label, strict=True):
        assert drawer_episodes.episode_of(start) == drawer_episodes.episode_of(end)
        assert 0 < end - start <= 10
        assert is_feasible(OPEN, scene[start])
        assert succeeded(OPEN, scene[start], scene[end]) == label


def test_rare_successes_stay_few_and_failures_do_not_run_out(drawer_episodes):
    never = replace(drawer_episodes, scene_state=np.zeros_like(drawer_episodes.scene_state))
    pairs = drawn(never)
    assert not pairs.label.any()
    assert len(pairs.label) == 40
    scene = np.zeros_like(never.scene_state)
    scene[:, DRAWER] = 0.22  # wide open everywhere: it cannot be opened
    assert len(drawn(replace(never, scene_state=scene)).label) == 0


def test_the_same_seed_draws_the_same_and_tasks_differ(drawer_episodes):
    one, other = drawn(drawer_episodes), drawn(drawer_episodes)
    assert all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))
    closing = drawn(drawer_episodes, task="close_drawer")
    assert not closing.label.any()


def test_every_frame_has_its_own_feature_and_that_of_its_start(drawer_episodes, monkeypatch):
    monkeypatch.setattr(play_pairs, "READ_AT_ONCE", 7)  # several blocks, the last of them short
    pairs, read = drawn(drawer_episodes), []

    def features(rows):
        assert (np.diff(rows) > 0).all()
        read.append(rows)
        return np.stack([rows, 2 * rows], axis=1).astype(np.float32)

    proprio = drawer_episodes.proprio[pairs.end]
    frames = concatenate([PlayFrames(pairs, proprio, features, feat_dim=2)])
    whole = np.concatenate(read)
    assert len(read) > 1
    assert np.array_equal(whole, np.unique(whole)), "no frame is read twice"
    assert np.array_equal(frames.feat[:, 0], pairs.end)
    assert np.array_equal(frames.start_feat[:, 1], 2 * pairs.start)
    assert np.array_equal(frames.proprio, drawer_episodes.proprio[pairs.end])
    assert np.array_equal(frames.label, pairs.label)
    assert len(np.unique(frames.episode)) == len(frames)
    assert set(frames.kind) == {PLAY}
