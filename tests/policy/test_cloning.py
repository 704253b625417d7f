import numpy as np
import pytest
import torch
from pydantic import ValidationError

from wam.policy.cloning import CloningObjective, chunks_from_episodes, clone_policy
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.windows import chunk_windows
from wam.training.config import OptimizerConfig

DIFFUSION = DiffusionConfig(hidden=64, standardize_condition=True)


def make_config(**changes: object) -> CloningConfig:
    page = {"optimizer": OptimizerConfig(learning_rate=2e-3), "batch": 16, "steps": 30, "ema_decay": 0.9}
    return CloningConfig(**(page | changes))


def make_data(segments: int = 6, length: int = 9) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    segment = np.repeat(np.arange(segments), length)
    step = np.tile(np.arange(length), segments)
    cond = rng.normal(size=(len(segment), 5)).astype(np.float32)
    action = np.tanh(cond @ rng.normal(size=(5, 7))).astype(np.float32)
    return cond, action, segment, step


def test_windows_stay_inside_segments():
    segment = np.array([0, 0, 0, 1, 1, 1, 1])
    step = np.array([0, 1, 2, 0, 1, 2, 3])
    assert chunk_windows(segment, step, 3).tolist() == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]


def test_a_segment_stored_twice_is_not_joined():
    windows = chunk_windows(np.zeros(6, np.int64), np.array([0, 1, 2, 0, 1, 2]), 2)
    assert windows.tolist() == [[0, 1], [1, 2], [3, 4], [4, 5]]


def test_padding_repeats_the_last_step():
    windows = chunk_windows(np.zeros(3, np.int64), np.arange(3), 2, pad_end=True)
    assert windows.tolist() == [[0, 1], [1, 2], [2, 2]]


@pytest.mark.parametrize(("rows", "message"), [(0, "no steps"), (2, "lower horizon_steps")])
def test_no_window_is_an_error(rows, message):
    with pytest.raises(ValueError, match=message):
        chunk_windows(np.zeros(rows, np.int64), np.arange(rows), 3)


def test_bad_actions_are_named():
    cond, action, segment, step = make_data()
    with pytest.raises(ValueError, match="outside"):
        chunks_from_episodes(cond, action * 3, segment, step, horizon_steps=4)
    broken = action.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        chunks_from_episodes(cond, broken, segment, step, horizon_steps=4)
    with pytest.raises(ValueError, match="rows differ"):
        chunks_from_episodes(cond[1:], action, segment, step, horizon_steps=4)


def test_every_pass_uses_every_window_once():
    chunks = chunks_from_episodes(*make_data(), horizon_steps=4)
    objective = CloningObjective(DiffusionPolicy(5, DIFFUSION), chunks, batch=10, seed=0)
    seen = np.concatenate([objective.passes.rows(step) for step in range(4)])
    assert len(chunks) == 36
    assert sorted(seen) == list(range(36))
    assert list(objective.passes.rows(4)) != list(objective.passes.rows(0))


@pytest.mark.slow
def test_one_batch_can_be_overfitted():
    cond, action, segment, step = make_data(segments=4, length=4)
    chunks = chunks_from_episodes(cond, action, segment, step, horizon_steps=4)
    config = make_config(steps=400, ema_decay=None, optimizer=OptimizerConfig(learning_rate=5e-3))
    policy = clone_policy(chunks, DIFFUSION, config, seed=0).policy
    sample = policy.sample(chunks.cond[chunks.window[:, 0]], generator=torch.Generator(), deterministic=True)
    error = (sample - chunks.action[chunks.window]).abs().mean()
    constant = (chunks.action - chunks.action.mean(0)).abs().mean()
    assert error < 0.5 * constant


def test_interrupted_cloning_equals_uninterrupted(tmp_path):
    chunks = chunks_from_episodes(*make_data(), horizon_steps=4)
    whole = clone_policy(chunks, DIFFUSION, make_config(), seed=1)
    early = clone_policy(chunks, DIFFUSION, make_config(), seed=1, work_dir=tmp_path, stop_after=13)
    resumed = clone_policy(chunks, DIFFUSION, make_config(), seed=1, work_dir=tmp_path)
    assert [row["step"] for row in early.training.history] == [13]
    assert [row["step"] for row in resumed.training.history] == [13, 30], "it went on"
    for kind in ("policy", "raw_policy"):
        want, got, cut = (getattr(result, kind).state_dict() for result in (whole, resumed, early))
        assert all(torch.equal(got[name], value) for name, value in want.items())
        assert not all(torch.equal(cut[name], value) for name, value in want.items())


def test_averaged_and_raw_weights_differ_and_both_come_back():
    chunks = chunks_from_episodes(*make_data(), horizon_steps=4)
    result = clone_policy(chunks, DIFFUSION, make_config(), seed=1)
    raw, averaged = (p.denoiser.trunk.output.weight for p in (result.raw_policy, result.policy))
    assert not torch.equal(raw, averaged)
    copied = clone_policy(chunks, DIFFUSION, make_config(ema_start_step=30), seed=1)
    assert torch.equal(
        copied.policy.denoiser.trunk.output.weight, copied.raw_policy.denoiser.trunk.output.weight
    )
    assert torch.equal(copied.raw_policy.denoiser.trunk.output.weight, raw)


def test_average_may_be_updated_seldom():
    chunks = chunks_from_episodes(*make_data(), horizon_steps=4)
    policies = [
        clone_policy(chunks, DIFFUSION, make_config(steps=steps, ema_every_steps=20), seed=1).policy
        for steps in (20, 30)
    ]
    weights = [policy.denoiser.trunk.output.weight for policy in policies]
    assert torch.equal(*weights)


def test_epochs_are_passes():
    chunks = chunks_from_episodes(*make_data(), horizon_steps=4)
    result = clone_policy(chunks, DIFFUSION, make_config(steps=None, epochs=3), seed=1)
    assert result.training.history[-1]["step"] == 3 * 3


def test_length_is_given_once():
    with pytest.raises(ValidationError, match="either steps or epochs"):
        make_config(epochs=3)


def test_windows_of_another_length_are_refused():
    chunks = chunks_from_episodes(*make_data(), horizon_steps=3)
    with pytest.raises(ValueError, match="horizon_steps is 4"):
        clone_policy(chunks, DIFFUSION, make_config(), seed=1)
