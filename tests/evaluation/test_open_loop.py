import numpy as np
import pytest
from toy_world import tiny_world_model, toy_episodes

from wam.evaluation import open_loop
from wam.evaluation.open_loop import choose_sequences, open_loop_quality

EPISODES = toy_episodes()


@pytest.fixture(scope="module")
def model():
    return tiny_world_model()


def measure(model, **options):
    return open_loop_quality(model, EPISODES, **({"sequences": 3, "steps": 8, "seed": 0} | options))


def test_sequences_lie_within_an_episode_and_do_not_repeat():
    rows = choose_sequences(EPISODES, 20, 12, seed=1)
    assert rows.shape == (20, 12)
    assert len(set(rows[:, 0])) == 20
    assert (EPISODES.episode_of(rows[:, 0]) == EPISODES.episode_of(rows[:, -1])).all()
    np.testing.assert_array_equal(rows, choose_sequences(EPISODES, 20, 12, seed=1))


def test_too_many_sequences_are_refused_with_the_number_there_is():
    with pytest.raises(ValueError, match="100 sequences of 12 frames are asked for, the episodes hold 26"):
        choose_sequences(EPISODES, 100, 12, seed=0)


@pytest.mark.slow
def test_the_table_has_a_row_per_step_and_the_summary_averages_it(model):
    quality = measure(model)
    assert quality.by_step["step"].tolist() == list(range(1, 9))
    both = quality.by_step[["psnr_image_static", "psnr_image_gripper"]].mean(axis=1)
    np.testing.assert_allclose(quality.by_step["psnr"], both)
    assert quality.summary["psnr_mean"] == pytest.approx(quality.by_step["psnr"].mean())
    assert set(quality.summary) == {"psnr_mean", "psnr_std", "ssim_mean", "ssim_std"}


@pytest.mark.slow
def test_it_repeats_to_the_bit_and_follows_its_seed(model):
    assert measure(model).by_step.equals(measure(model).by_step)
    assert not measure(model).by_step.equals(measure(model, seed=1).by_step)


def test_shown_frames_are_the_recorded_ones_of_the_steps(model):
    quality = measure(model, context_frames=2, shown=2)
    rows = EPISODES.row_of(quality.frame_id)[:2, None] + 2 + np.arange(8)
    np.testing.assert_array_equal(quality.real[:, :, :, :64], EPISODES.image_static[rows])
    np.testing.assert_array_equal(quality.real[:, :, :, 64:], EPISODES.image_gripper[rows])
    assert quality.imagined.shape == quality.real.shape == (2, 8, 64, 128, 3)
    assert quality.beside(1).shape == (8, 128, 128, 3)


@pytest.mark.parametrize(("shown", "kept"), [(0, 0), (3, 3), (9, 4)])
def test_as_many_sequences_are_shown_as_asked_for_also_none(model, shown, kept, monkeypatch):
    monkeypatch.setattr(open_loop, "BATCH", 2)
    quality = measure(model, sequences=4, steps=2, shown=shown)
    assert quality.imagined.shape == quality.real.shape == (kept, 2, 64, 128, 3)
    rows = EPISODES.row_of(quality.frame_id)[:kept, None] + 1 + np.arange(2)
    np.testing.assert_array_equal(quality.real[..., :64, :], EPISODES.image_static[rows])


def test_imagination_sees_no_frame_after_the_context(model):
    later = toy_episodes()
    start = int(EPISODES.row_of(measure(model).frame_id)[0])
    later.image_static[start + 1 : start + 9] = 0
    before, after = measure(model), open_loop_quality(model, later, sequences=3, steps=8, seed=0)
    np.testing.assert_array_equal(before.imagined[0], after.imagined[0])
    assert not np.array_equal(before.real[0], after.real[0])


def test_imagination_follows_the_recorded_actions(model):
    other = toy_episodes()
    other.action[:] = 0
    before, after = measure(model), open_loop_quality(model, other, sequences=3, steps=8, seed=0)
    assert not np.array_equal(before.imagined, after.imagined)
