"""A training step that is replayed gives the weights of one that is not."""

import gc
import weakref
from typing import Any

import pytest
import torch
from recorded import Operations
from toy_world import LIKE_BASE, tiny_config, tiny_training, toy_episodes

from wam.contracts import config_with
from wam.training.captured import PLAIN_CALLS
from wam.training.config import Intervals
from wam.training.loop import train
from wam.world_model import decoder, encoder
from wam.world_model.captured_step import CapturedObjective
from wam.world_model.model import WorldModel
from wam.world_model.train import WorldModelObjective

STEPS = PLAIN_CALLS + 6


@pytest.fixture(autouse=True)
def layers_as_a_gpu_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decoder, encoder):
        monkeypatch.setattr(module, "quick_precision", lambda _x: None)


def objective_of(page: dict[str, Any], precision: str) -> WorldModelObjective:
    dropout = {"inverse_dynamics": {"dropout": 0.3}}
    model = WorldModel(config_with(tiny_config(**page), dropout), seed=0)
    training = tiny_training(precision=precision, decode_fraction=0.5, reset_probability=0.2)
    return WorldModelObjective(model, toy_episodes(), training, seed=0)


def fit(objective: Any) -> list[dict[str, float]]:
    page = tiny_training().optimizer
    return train(objective, steps=STEPS, optimizer=page, every=Intervals(3), description="toy").history


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "page",
    [{"action_coef": 0.0}, {"overshooting_coef": 0.3}, LIKE_BASE],
    ids=["diwa", "wam", "base"],
)
def test_replayed_steps_train_the_same_world_model(page: dict[str, Any], precision: str) -> None:
    plain, replayed = (
        objective_of(page, precision),
        CapturedObjective(objective_of(page, precision), Operations()),
    )
    want, got = fit(plain), fit(replayed)
    assert replayed._gradient.recorded
    assert [row.keys() for row in got] == [row.keys() for row in want]
    for row, expected in zip(got, want, strict=True):
        assert row == pytest.approx(expected, rel=1e-5), row["step"]
    for one, other in zip(plain.modules().parameters(), replayed.modules().parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    for name, kept in plain.state_dict().items():
        torch.testing.assert_close(replayed.state_dict()[name], kept, rtol=1e-5, atol=1e-6)


def test_frames_and_model_go_with_the_objective() -> None:
    objective = CapturedObjective(objective_of({}, "fp32"), Operations())
    fit(objective)
    gone = [weakref.ref(x) for x in (objective.modules(), objective._objective._frames)]
    assert all(parameter.grad is None for parameter in objective.modules().parameters())
    gc.collect()
    gc.disable()
    try:
        del objective
        assert [one() for one in gone] == [None, None]
    finally:
        gc.enable()
