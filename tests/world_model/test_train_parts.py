"""A batch in parts, one after another or one a device, is the same batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_world import LIKE_BASE, tiny_config, tiny_training, toy_episodes

from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore
from wam.training import device
from wam.training.resume import History
from wam.world_model.model import WorldModel
from wam.world_model.part import Part, split_streams
from wam.world_model.train import WorldModelObjective
from wam.world_model.train_parts import WorldModelPartsObjective, WorldModelTask, train_world_model_on
from wam.world_model.training_config import WorldModelTrainingConfig

EPISODES = toy_episodes()
PAGE = tiny_training(batch=5, reset_probability=0.1)


def tiny_model(**losses: float) -> WorldModel:
    extra = {"proprio_coef": 1.0, "overshooting_coef": 0.3}
    return WorldModel(tiny_config(**LIKE_BASE, **extra, **losses), seed=2)


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "decode_fraction"), [(2, 0.5), (5, 0.5), (5, 0.05), (3, 1.0)])
def test_parts_give_the_gradient_and_the_figures_of_the_whole_batch(
    parts: int, decode_fraction: float
) -> None:
    page = tiny_training(batch=5, reset_probability=0.1, decode_fraction=decode_fraction)
    whole = WorldModelObjective(tiny_model(), EPISODES, page, seed=5)
    cut = WorldModelPartsObjective(tiny_model(), EPISODES, page, seed=5, parts=parts)
    for step in range(3):
        want, got = whole.loss(step), cut.accumulate(step)
        want.loss.backward()
        assert got.metrics.keys() == want.metrics.keys()
        for name, value in want.metrics.items():
            torch.testing.assert_close(got.metrics[name], value, rtol=1e-5, atol=1e-7, msg=name)
        torch.testing.assert_close(got.loss, want.loss.detach(), rtol=1e-5, atol=0)
    states = whole.state_dict(), cut.state_dict()
    torch.testing.assert_close(*states, rtol=1e-5, atol=1e-6)
    for (name, x), y in zip(whole.modules().named_parameters(), cut.modules().parameters(), strict=True):
        assert (x.grad is None) == (y.grad is None), name
        if x.grad is not None:
            scale = float(x.grad.abs().max())
            torch.testing.assert_close(y.grad, x.grad, rtol=1e-4, atol=1e-5 * scale, msg=name)


def test_streams_are_cut_evenly_and_all_used() -> None:
    cuts = split_streams(500, 3)
    assert [cut.stop - cut.start for cut in cuts] == [167, 166, 167]
    assert [cuts[0].start, cuts[-1].stop] == [0, 500]
    with pytest.raises(ValueError, match="5 streams cannot be cut into 6 parts"):
        split_streams(5, 6)


def test_a_part_without_decoded_frames_or_pairs_counts_nothing() -> None:
    is_first = np.ones((2, 3), bool)
    assert Part.of(is_first, slice(0, 1)).pair_share == 0
    index, share = Part.of(is_first, slice(0, 1)).decoded(torch.tensor([3, 5]), 3)
    assert (len(index), share) == (1, 0)
    index, share = Part.of(is_first, slice(1, 2)).decoded(torch.tensor([1, 3, 5]), 3)
    assert (index.tolist(), share) == ([0, 2], pytest.approx(2 / 3))


def task_in(
    folder: Path, store: EpisodeStore, page: WorldModelTrainingConfig, parts: int = 1, stop: int | None = None
) -> WorldModelTask:
    statistics = ProprioStatistics.from_stores([store])
    model = tiny_config(**LIKE_BASE)
    return WorldModelTask(model, page, statistics, store.path, store.path, 3, parts, stop, folder)


def worst_difference(one: History, other: History) -> float:
    assert [row.keys() for row in one] == [row.keys() for row in other]
    return max(abs(a[name] / b[name] - 1) for a, b in zip(one, other, strict=True) for name in a if a[name])


@pytest.mark.slow
def test_any_number_of_devices_goes_on_from_any_other_with_the_same_losses(make_store, tmp_path) -> None:
    store = make_store()
    page = tiny_training(
        batch=4,
        sequence_steps=3,
        reset_probability=0.1,
        log_every=1,
        validation_batches=2,
        validate_every=6,
    )
    alone, want = train_world_model_on(task_in(tmp_path / "one", store, page), 1, "cpu")
    folder = tmp_path / "several"
    train_world_model_on(task_in(folder, store, page, stop=4), 1, "cpu")
    train_world_model_on(task_in(folder, store, page, stop=8), 2, "cpu")
    model, got = train_world_model_on(task_in(folder, store, page, parts=3), 1, "cpu")
    trials = {3, 7}  # an early end validates, which the run in one go has no reason to
    rows = [
        {k: v for k, v in row.items() if index not in trials or "validation" not in k}
        for index, row in enumerate(got.history)
    ]
    assert len(rows) == page.steps
    assert worst_difference(rows, want.history) < 1e-5
    for one, other in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    for one, other in zip(model.buffers(), alone.buffers(), strict=True):
        assert torch.equal(one, other)
    assert alone.colors.image_static.nearest.any(), "the palette was found"
    assert alone.rssm.arm_motion.weight.any(), "so was how the arm moves"


def test_a_training_that_began_in_another_precision_is_begun_anew(make_store, tmp_path, monkeypatch) -> None:
    store, page = make_store(), tiny_training(batch=2, sequence_steps=3, precision="auto", log_every=1)
    folder = tmp_path / "moved"
    monkeypatch.setattr(device, "has_bf16", lambda _: False)
    train_world_model_on(task_in(folder, store, page, stop=2), 1, "cpu")
    monkeypatch.setattr(device, "has_bf16", lambda _: True)  # on another machine
    _, moved = train_world_model_on(task_in(folder, store, page), 1, "cpu")
    _, fresh = train_world_model_on(task_in(tmp_path / "fresh", store, page), 1, "cpu")
    assert moved.history == fresh.history
