import numpy as np
import pandas as pd
import pytest
import torch
from toy_world import only_episode, tiny_world_model, toy_episodes

from wam.contracts import OPEN_GRIPPER_ACTION
from wam.seeding import torch_generator
from wam.world_model import filtering
from wam.world_model.featurize import features_by_row, featurize_episodes, featurize_segments, start_state
from wam.world_model.featurize_pieces import featurize_store

EPISODES = toy_episodes()
SEGMENTS = pd.DataFrame({"start_row": [4, 22], "end_row": [9, 30]})


@pytest.fixture(scope="module")
def model():
    return tiny_world_model()


def frame(rows):
    keys = ("image_static", "image_gripper", "proprio")
    return {key: torch.from_numpy(getattr(EPISODES, key)[rows]) for key in keys}


def all_features(model, episodes=EPISODES, *, batch=2, seed=0):
    pieces = featurize_episodes(model, episodes, seed=seed, batch=batch)
    return features_by_row(pieces, episodes.num_frames, model.feat_dim)


def segment_features(model, **options):
    page = {"start_repeats": 3, "fresh_samples": 2, "long_context": True, "seed": 0}
    return featurize_segments(model, EPISODES, SEGMENTS, **(page | options))


def test_start_state_filters_the_first_frame_again_and_again(model):
    got = start_state(model, **frame([3, 8]), repeats=3, generator=torch_generator(0))
    action = torch.tensor(OPEN_GRIPPER_ACTION).expand(2, 3, 7)
    first = torch.tensor([[True, False, False]]).expand(2, 3)
    embed = model.embed(frame([3, 8]))[:, None].expand(2, 3, -1)
    want = model.observe(embed, action, first, model.initial_state(2), torch_generator(0)).state
    assert torch.equal(got.feat, want.feat)
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        start_state(model, **frame([3]), repeats=0, generator=torch_generator(0))


def test_every_frame_gets_a_feature_with_one_hot_stoch(model):
    feats = all_features(model)
    assert feats.shape == (EPISODES.num_frames, 24)
    assert (feats[:, 12:].reshape(-1, 3, 4).sum(axis=-1) == 1).all()


def test_features_of_an_episode_do_not_depend_on_its_company(model):
    together = all_features(model, batch=3)
    np.testing.assert_allclose(all_features(model, batch=1), together, atol=1e-6)
    alone = all_features(model, only_episode(EPISODES, 1))
    np.testing.assert_allclose(alone, together[20:33], atol=1e-6)


def test_features_do_not_depend_on_the_size_of_chunks(model, monkeypatch):
    want = all_features(model)
    monkeypatch.setattr(filtering, "CHUNK_STEPS", 5)
    np.testing.assert_allclose(all_features(model), want, atol=1e-6)


def test_features_equal_single_steps_of_the_model(model):
    noise = model.noise(1, filtering.CHUNK_STEPS, generator=torch_generator(0, "filter", "episode", 1020))
    state, prev_action = model.initial_state(1), torch.from_numpy(EPISODES.prev_action())
    want = []
    for i, row in enumerate(range(20, 33)):
        embed, first = model.embed(frame([row])), torch.tensor([i == 0])
        state, _ = model.rssm.observe_step(embed, prev_action[[row]], first, state, noise[:, i])
        want.append(state.feat[0])
    np.testing.assert_allclose(all_features(model)[20:33], torch.stack(want), atol=1e-6)


def test_the_seed_moves_the_samples(model):
    assert not np.array_equal(all_features(model), all_features(model, seed=1))


def test_segments_come_with_their_frames_in_order(model):
    out = segment_features(model)
    rows = np.concatenate([np.arange(4, 10)] * 3 + [np.arange(22, 31)] * 3)
    np.testing.assert_array_equal(out["frame_id"], rows + 1000)
    np.testing.assert_array_equal(out["action"], EPISODES.action[rows])
    np.testing.assert_array_equal(out["scene_state"], EPISODES.scene_state[rows])
    np.testing.assert_array_equal(out["segment"], np.repeat([0, 1], [18, 27]))
    np.testing.assert_array_equal(out["context"], np.repeat([0, 1, 2, 0, 1, 2], [6, 6, 6, 9, 9, 9]))
    np.testing.assert_array_equal(out["step"][:7], [0, 1, 2, 3, 4, 5, 0])
    assert out["feat"].shape == (45, 24)


def test_fresh_features_start_as_evaluation_does(model):
    out = segment_features(model, long_context=False, fresh_samples=1)
    noise = model.noise(1, filtering.CHUNK_STEPS, generator=torch_generator(0, "filter", "segment", 1022, 1))
    embed = model.embed(frame([22, 22, 22, 23]))[None]
    action = torch.tensor(OPEN_GRIPPER_ACTION).repeat(1, 4, 1)
    action[0, 3] = torch.from_numpy(EPISODES.action[22])
    first = torch.tensor([[True, False, False, False]])
    want = model.rssm.observe(embed, action, first, model.initial_state(1), noise[:, :4]).feat[0, 2:]
    np.testing.assert_allclose(out["feat"][6:8], want, atol=1e-6)


def test_fresh_features_see_nothing_before_the_segment_but_long_ones_do(model):
    darker = toy_episodes()
    darker.image_static[:4] = 0
    darker.image_static[20:22] = 0
    page = {"start_repeats": 2, "fresh_samples": 1, "long_context": True, "seed": 0}
    one, two = (featurize_segments(model, ep, SEGMENTS, **page) for ep in (EPISODES, darker))
    fresh = one["context"] == 1
    np.testing.assert_allclose(one["feat"][fresh], two["feat"][fresh], atol=1e-6)
    assert not np.allclose(one["feat"][~fresh], two["feat"][~fresh])


def test_long_context_is_bounded(model):
    short, none = (segment_features(model, fresh_samples=0, context_steps=n)["feat"] for n in (1, 0))
    assert not np.allclose(short, none)


def test_fresh_samples_differ(model):
    out = segment_features(model)
    one, two = (out["feat"][out["context"] == c] for c in (1, 2))
    assert not np.array_equal(one, two)


def test_asking_for_nothing_is_refused(model):
    with pytest.raises(ValueError, match="no features are asked for"):
        segment_features(model, long_context=False, fresh_samples=0)


def test_features_in_pieces_are_the_same(make_store, model):
    store = make_store(lengths=(9, 4, 7))
    whole = featurize_episodes(model, store.load(), seed=3, batch=2)
    pieces = featurize_store(model.to_checkpoint(), store, seed=3, batch=2, workers=1)
    want, got = (features_by_row(x, store.num_frames, model.feat_dim) for x in (whole, pieces))
    np.testing.assert_array_equal(got, want)
