"""The second part of a training: the same loss from kept embeddings, and an encoder that stands still."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_world import LIKE_BASE, tiny_config, tiny_training, toy_episodes

from wam.contracts import EMBED
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore
from wam.training.loop import TrainingResult
from wam.world_model import recurrent_phase
from wam.world_model.filtering import encode_rows
from wam.world_model.model import WorldModel
from wam.world_model.recurrent_phase import RecurrentPhaseObjective
from wam.world_model.train import WorldModelObjective
from wam.world_model.train_parts import WorldModelTask, train_world_model_on

EPISODES = toy_episodes()
PHASE = {
    "steps": 8,
    "batch": 2,
    "sequence_steps": 6,
    "decode_fraction": 0.5,
    "overshooting_coef": 0.5,
    "optimizer": {"learning_rate": 1e-3},
}
PAGE = tiny_training(reset_probability=0.1, recurrent_phase=PHASE)


def tiny_model() -> WorldModel:
    return WorldModel(tiny_config(action_coef=10.0, **LIKE_BASE), seed=2)


def phase_of(model: WorldModel) -> RecurrentPhaseObjective:
    assert PAGE.recurrent_phase is not None
    return RecurrentPhaseObjective(model, EPISODES, PAGE.recurrent_phase, PAGE, seed=5)


def test_kept_embeddings_give_the_loss_of_the_pixels() -> None:
    second = phase_of(tiny_model())
    inputs = second.inputs(0)
    pixels = {key: value for key, value in inputs.batch.items() if key != EMBED}
    assert len(pixels) < len(inputs.batch)
    output, _ = second.loss_of(inputs)
    want, _ = second.loss_of(inputs._replace(batch=pixels))
    assert output.metrics["ahead_loss"] > 0
    for name, value in want.metrics.items():
        torch.testing.assert_close(output.metrics[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_two_world_models_find_their_embeddings_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    both_are_inside = threading.Barrier(2)

    def meet(*arguments):
        both_are_inside.wait(timeout=30)
        return encode_rows(*arguments)

    monkeypatch.setattr(recurrent_phase, "encode_rows", meet)
    phases = [phase_of(tiny_model()) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        for output in threads.map(lambda phase: phase.loss(0), phases):
            assert output.loss.isfinite()


def test_every_weight_but_the_encoders_gets_a_gradient() -> None:
    model = tiny_model()
    phase_of(model).loss(0).loss.backward()
    for name, parameter in model.named_parameters():
        unused = name.startswith(("encoder.", "rssm.initial", "rssm.scene_track."))
        assert (parameter.grad is None) == unused, name


def test_it_draws_other_noise_than_the_first_part() -> None:
    model = tiny_model()
    alike = replace(PAGE, batch=PHASE["batch"], sequence_steps=PHASE["sequence_steps"])
    first, second = WorldModelObjective(model, EPISODES, alike, seed=5), phase_of(model)
    pairs = [(first.inputs(step), second.inputs(step)) for step in range(8)]
    assert not any(torch.equal(one.draws.noise, other.draws.noise) for one, other in pairs)
    one, other = (torch.stack([each.reset for each in inputs]) for inputs in zip(*pairs, strict=True))
    assert not torch.equal(one, other)


def task_in(folder: Path, store: EpisodeStore, **changes: object) -> WorldModelTask:
    page = replace(PAGE, validation_batches=1, validate_every=4, sequence_steps=4, **changes)  # type: ignore[arg-type]
    config = tiny_config(action_coef=10.0, **LIKE_BASE)
    statistics = ProprioStatistics.from_stores([store])
    return WorldModelTask(config, page, statistics, store.path, store.path, 3, 1, None, folder)


def digest(trained: tuple[WorldModel, TrainingResult]) -> str:
    return trained[0].to_checkpoint().digest


@pytest.mark.slow
def test_curves_count_on_and_a_killed_second_part_goes_on_to_the_bit(
    make_store, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(lengths=(20, 20))
    whole = train_world_model_on(task_in(tmp_path / "whole", store), 1, "cpu")
    assert [row["step"] for row in whole[1].history] == [4, 8, 12, 16, 20]
    assert all("validation_loss" in row for row in whole[1].history)

    class Killed(RecurrentPhaseObjective):
        def loss(self, step: int):
            if step == 6:
                raise KeyboardInterrupt
            return super().loss(step)

    with monkeypatch.context() as patch:
        patch.setattr(recurrent_phase, "RecurrentPhaseObjective", Killed)
        with pytest.raises(KeyboardInterrupt):
            train_world_model_on(task_in(tmp_path / "again", store), 1, "cpu")
    again = train_world_model_on(task_in(tmp_path / "again", store), 1, "cpu")
    assert digest(again) == digest(whole)
    assert again[1].history == whole[1].history


@pytest.mark.slow
def test_the_encoder_of_the_first_part_stays(make_store, tmp_path) -> None:
    store = make_store(lengths=(20, 20))
    first, _ = train_world_model_on(task_in(tmp_path / "a", store, recurrent_phase=None), 1, "cpu")
    both, _ = train_world_model_on(task_in(tmp_path / "b", store), 1, "cpu")
    moved = {
        name.split(".")[0]
        for (name, one), other in zip(first.named_parameters(), both.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    assert moved == {"rssm", "decoder", "inverse_dynamics", "color_decoder"}
    still = {name for name, value in both.named_parameters() if not value.requires_grad}
    assert all(name.startswith("rssm.scene_track.") for name in still)
