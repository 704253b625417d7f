from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam.episodes.sampler import StreamSampler, gather_batch
from wam.episodes.store import EpisodeStore
from wam.episodes.windows import tile_episode

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8)
SIZES = {
    "lengths": LENGTHS,
    "batch": st.integers(1, 6),
    "steps": st.integers(1, 12),
    "seed": st.integers(0, 99),
}


def make_sampler(lengths: list[int], batch: int, steps: int, seed: int) -> StreamSampler:
    lengths = [*lengths, steps]
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return StreamSampler(start, np.array(lengths), batch=batch, sequence_steps=steps, seed=seed)


def episode_of(lengths: list[int], steps: int, rows: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.cumsum([*lengths, steps]), rows, side="right")


@given(length=st.integers(1, 60), steps=st.integers(1, 20), data=st.data())
def test_tiles_are_whole_windows_of_a_fixed_number(length: int, steps: int, data: st.DataObject) -> None:
    first = tile_episode(length, steps, data.draw(st.integers(0, steps - 1)))
    assert len(first) == length // steps
    assert all(0 <= row <= length - steps for row in first)
    assert len(set(first.tolist())) == len(first)
    assert sorted(first.tolist()) == first.tolist()


@given(length=st.integers(1, 60), steps=st.integers(1, 20))
def test_over_all_offsets_every_frame_is_seen_and_true_starts_often(length: int, steps: int) -> None:
    tilings = [tile_episode(length, steps, offset) for offset in range(steps)]
    seen = {int(row) + shift for first in tilings for row in first for shift in range(steps)}
    assert seen == (set(range(length)) if length >= steps else set())


@pytest.mark.slow
@given(**SIZES)
def test_windows_are_consecutive_and_never_cross_an_episode_end(
    lengths: list[int], batch: int, steps: int, seed: int
) -> None:
    sampler = make_sampler(lengths, batch, steps, seed)
    for step in range(12):
        rows, starts_new = sampler.rows(step)
        assert rows.shape == (batch, steps)
        assert starts_new.shape == (batch,)
        assert (np.diff(rows, axis=1) == 1).all()
        episodes = episode_of(lengths, steps, rows)
        assert (episodes == episodes[:, :1]).all()


@pytest.mark.slow
@given(**SIZES)
def test_a_stream_either_continues_or_starts_new(
    lengths: list[int], batch: int, steps: int, seed: int
) -> None:
    sampler = make_sampler(lengths, batch, steps, seed)
    before, starts_new = sampler.rows(0)
    assert starts_new.all()
    for step in range(1, 12):
        rows, starts_new = sampler.rows(step)
        continues = (rows[:, 0] == before[:, -1] + 1) & (
            episode_of(lengths, steps, rows[:, 0]) == episode_of(lengths, steps, before[:, -1])
        )
        np.testing.assert_array_equal(starts_new, ~continues)
        before = rows


@pytest.mark.slow
@given(**SIZES)
def test_a_resumed_sampler_goes_on_as_if_never_stopped(
    lengths: list[int], batch: int, steps: int, seed: int
) -> None:
    sampler = make_sampler(lengths, batch, steps, seed)
    forward = [sampler.rows(step) for step in range(10)]
    resumed = make_sampler(lengths, batch, steps, seed)
    for step in (9, 3, 7, 0):
        np.testing.assert_array_equal(resumed.rows(step)[0], forward[step][0])
        np.testing.assert_array_equal(resumed.rows(step)[1], forward[step][1])


@given(**SIZES)
def test_a_pass_reads_no_window_twice(lengths: list[int], batch: int, steps: int, seed: int) -> None:
    sampler = make_sampler(lengths, batch, steps, seed)
    windows = sum(length // steps for length in [*lengths, steps])
    first = [int(row) for step in range(sampler.steps_per_pass) for row in sampler.rows(step)[0][:, 0]]
    if windows >= batch:
        assert len(set(first)) == len(first)
        assert windows - len(first) < batch


def test_many_passes_cover_every_frame() -> None:
    sampler = make_sampler([13, 30, 7], 3, 5, seed=0)
    seen = {int(row) for step in range(60 * sampler.steps_per_pass) for row in sampler.rows(step)[0].ravel()}
    assert seen == set(range(55))


def test_streams_mostly_continue() -> None:
    sampler = make_sampler([200] * 10, 4, 10, seed=0)
    new = [sampler.rows(step)[1].mean() for step in range(1, sampler.steps_per_pass)]
    assert np.mean(new) < 0.15


def test_seeds_differ() -> None:
    one, two = (make_sampler([30] * 9, 4, 5, seed).rows(0)[0] for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_impossible_sizes_are_refused() -> None:
    start, length = np.array([0]), np.array([5])
    with pytest.raises(ValueError, match="sequence_steps is 6, the longest episode has 5 frames"):
        StreamSampler(start, length, batch=1, sequence_steps=6, seed=0)
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        StreamSampler(start, length, batch=0, sequence_steps=2, seed=0)
    with pytest.raises(ValueError, match="step must be at least 0, got -1"):
        make_sampler([9], 1, 3, 0).rows(-1)


def test_gathered_batch_is_the_frames_and_a_copy(make_store: Callable[..., EpisodeStore]) -> None:
    episodes = make_store(lengths=(6, 5)).load()
    rows = np.array([[0, 1, 2], [7, 8, 9]])
    batch = gather_batch(episodes, rows)
    np.testing.assert_array_equal(batch["image_static"][1, 2], episodes.image_static[9])
    np.testing.assert_array_equal(batch["image_gripper"], episodes.image_gripper[rows])
    np.testing.assert_array_equal(batch["prev_action"], episodes.prev_action()[rows])
    np.testing.assert_array_equal(batch["action"][:, :-1], batch["prev_action"][:, 1:])
    np.testing.assert_array_equal(batch["is_first"], [[True, False, False], [False, False, False]])
    for value in batch.values():
        value[...] = 0
    assert episodes.image_static.any()
    assert episodes.action.any()
