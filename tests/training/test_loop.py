import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from wam.contracts import LossOutput
from wam.seeding import torch_generator
from wam.training import metrics
from wam.training.config import Intervals, OptimizerConfig
from wam.training.ema import Averaging
from wam.training.loop import TrainingError, train
from wam.training.resume import has_state

PAGE = OptimizerConfig(
    learning_rate=0.05, schedule="cosine", warmup_steps=3, weight_decay=0.01, grad_clip_norm=1.0
)


class Regression:
    """Noisy linear regression that also carries a state from step to step."""

    def __init__(self, *, stop_at: int | None = None, bad_at: int | None = None) -> None:
        self.net = nn.Linear(3, 1)
        with torch.no_grad():
            self.net.weight.fill_(0.5)
            self.net.bias.zero_()
        self.carried = torch.zeros(1)
        self.generator = torch_generator(5)
        self.stop_at, self.bad_at = stop_at, bad_at

    def modules(self):
        return self.net

    def loss(self, step):
        if step == self.stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 3, generator=self.generator)
        self.carried = 0.9 * self.carried + 0.05 * x.mean()
        loss = (self.net(x) - x.sum(dim=1, keepdim=True) - self.carried).square().mean()
        if step == self.bad_at:
            loss = loss * math.nan
        return LossOutput(loss, {"carried": self.carried.mean()})

    def state_dict(self):
        return {"carried": self.carried, "generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.carried = state["carried"]
        self.generator.set_state(state["generator"])


EVERY = Intervals(log=5, checkpoint=10, validation=10)


def run(objective, work_dir=None, *, steps=40, key="k", **options):
    options = {"averaging": Averaging(0.9), "every": EVERY} | options
    return train(
        objective, steps=steps, optimizer=PAGE, work_dir=work_dir, key=key, description="toy", **options
    )


def test_training_lowers_the_loss_and_leaves_evaluation_mode():
    objective = Regression()
    history = run(objective, steps=200).history
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert not objective.net.training


@pytest.mark.parametrize("stop_at", [3, 10, 27])
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, stop_at):
    whole = Regression()
    want = run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(Regression(stop_at=stop_at), tmp_path)
    resumed = Regression()
    got = run(resumed, tmp_path)
    assert got.history == want.history
    assert torch.equal(resumed.net.weight, whole.net.weight)
    assert all(torch.equal(got.ema_weights[name], value) for name, value in want.ema_weights.items())


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = Regression()
    want = run(first, tmp_path)
    again = Regression(stop_at=0)
    assert run(again, tmp_path).history == want.history
    assert torch.equal(again.net.weight, first.net.weight)


def test_a_checkpoint_of_another_key_is_not_used_and_that_is_said(tmp_path, caplog):
    run(Regression(), tmp_path, key="other")
    assert "begins anew" not in caplog.text
    assert (has_state(tmp_path, "other"), has_state(tmp_path, "k")) == (True, False)
    with pytest.raises(KeyboardInterrupt):
        run(Regression(stop_at=0), tmp_path)
    assert "40 steps, is of other settings, data or precision, so it begins anew" in caplog.text
    assert not has_state(tmp_path / "nowhere", "k")


def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path):
    with pytest.raises(TrainingError, match="toy: the loss of step 17 is nan"):
        run(Regression(bad_at=17), tmp_path)
    assert len(run(Regression(), tmp_path).history) == 8, "the checkpoint before is still good"


def test_published_figures_are_the_history_with_a_prefix():
    seen = []
    unsubscribe = metrics.subscribe(lambda values, step: seen.append((step, values)))
    history = run(Regression(), prefix="toy/").history
    unsubscribe()
    run(Regression())
    assert len(seen) == len(history) == 8
    for (step, values), row in zip(seen, history, strict=True):
        assert {"step": step} | {name.removeprefix("toy/"): v for name, v in values.items()} == row


def test_points_average_the_steps_between_them():
    every, fifth = run(Regression(), every=Intervals(1)).history, run(Regression()).history
    assert fifth[0]["loss"] == pytest.approx(sum(row["loss"] for row in every[:5]) / 5)


def test_the_step_size_warms_up_and_falls():
    rates = [row["learning_rate"] for row in run(Regression(), every=Intervals(1)).history]
    assert rates[0] == pytest.approx(0.05 / 3)
    assert max(rates) == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(rates[3:]))
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_averaged_weights_are_the_exponential_mean():
    objective, mean = Regression(), torch.full((1, 3), 0.5)
    original = objective.loss

    def loss(step):
        nonlocal mean
        if step:
            mean = 0.9 * mean + 0.1 * objective.net.weight.detach()
        return original(step)

    objective.loss = loss
    result = run(objective, steps=10)
    mean = 0.9 * mean + 0.1 * objective.net.weight.detach()
    torch.testing.assert_close(result.ema_weights["weight"], mean)


def test_validation_runs_in_evaluation_mode_at_its_steps():
    objective, modes = Regression(), []

    def validate():
        modes.append((objective.net.training, torch.is_grad_enabled()))
        return {"validation_loss": 1.0}

    history = run(objective, steps=20, validate=validate).history
    assert modes == [(False, False)] * 2
    assert [row["step"] for row in history if "validation_loss" in row] == [10, 20]


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_a_useless_decay_is_refused(decay):
    with pytest.raises(ValueError, match="ema_decay"):
        Averaging(decay)
