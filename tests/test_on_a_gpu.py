"""The chain on a pretended GPU: all that is computed there stays there until it is asked back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner
from pretend_gpu import MixedDevicesError, OnGpu, pretended_gpu
from toy_world import LIKE_BASE, tiny_config, tiny_training, toy_episodes

from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.rl.config import PPOConfig
from wam.rl.update import make_learner
from wam.seeding import torch_generator
from wam.training.captured import PLAIN_CALLS, Captured
from wam.world_model.captured_step import CapturedObjective, replayed_on_gpu
from wam.world_model.imagination import CapturedPrior, frozen_prior
from wam.world_model.model import WorldModel
from wam.world_model.train import WorldModelObjective

ROOT = Path(__file__).parents[1]


@pytest.fixture
def gpu() -> Iterator[torch.device]:
    with pretended_gpu() as device:
        yield device


def test_it_refuses_what_a_gpu_refuses(gpu: torch.device) -> None:
    there, here = torch.ones(2, 3, device=gpu), torch.ones(2, 3)
    for mixed in (lambda: there + here, lambda: here @ there.t(), lambda: torch.cat((there, here))):
        with pytest.raises(MixedDevicesError, match="on the CPU"):
            mixed()
    with pytest.raises(MixedDevicesError, match=r"numpy .*\.cpu\(\)"):
        there.numpy()
    layer = torch.nn.Linear(3, 1).to(gpu)
    with pytest.raises(MixedDevicesError):
        layer(here)


def test_it_allows_what_a_gpu_allows(gpu: torch.device) -> None:
    there, here = torch.ones(2, 3, device=gpu), torch.ones(2, 3)
    layer = torch.nn.Linear(3, 1).to(gpu)
    layer(there).sum().backward()
    assert layer.weight.grad is not None
    devices = [there.new_zeros(1), there + here.to(gpu), there * torch.tensor(2.0), layer.weight.grad]
    assert {tensor.device for tensor in (*devices, there[torch.tensor([1])])} == {gpu}
    OnGpu.waits.clear()
    assert float(there[0, there.sum().long() - 6].cpu()) == 1.0  # a number that chooses is read by the host
    assert OnGpu.waits[0].startswith("__getitem__")
    assert there.cpu().device == there.to("cpu").device == here.copy_(there).device == torch.device("cpu")


@pytest.mark.parametrize("page", [{}, LIKE_BASE], ids=["published", "base"])
def test_a_training_step_never_waits_for_the_device(page: dict[str, Any], gpu: torch.device) -> None:
    model = WorldModel(tiny_config(**page), seed=0).to(gpu)
    training = tiny_training(precision="bf16", decode_fraction=0.5, reset_probability=0.1)
    objective = WorldModelObjective(model, toy_episodes(), training, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    OnGpu.waits.clear()
    for step in range(3):
        optimizer.zero_grad()
        objective.loss(step).loss.backward()
        # clipping is PyTorch's, and asks tensors for their device where none pretends
        optimizer.step()
    assert OnGpu.waits == []
    float(objective.loss(3).loss.detach())
    assert OnGpu.waits == ["__float__"]


@pytest.mark.parametrize(("page", "share"), [({}, 1.0), (LIKE_BASE, 0.5)], ids=["published", "base"])
def test_a_training_step_is_recorded_and_replayed(
    page: dict[str, Any], share: float, gpu: torch.device
) -> None:
    model = WorldModel(tiny_config(**page), seed=0).to(gpu)
    training = tiny_training(precision="bf16", decode_fraction=share, reset_probability=0.1)
    objective = replayed_on_gpu(WorldModelObjective(model, toy_episodes(), training, seed=0), capture=True)
    assert isinstance(objective, CapturedObjective)
    for step in range(PLAIN_CALLS + 1):
        objective.accumulate(step)
    assert objective._gradient.recorded
    OnGpu.waits.clear()
    objective.accumulate(PLAIN_CALLS + 1)
    assert OnGpu.waits == []


@pytest.mark.parametrize("page", [{}, LIKE_BASE], ids=["published", "base"])
def test_imagination_is_recorded_and_replayed(page: dict[str, Any], gpu: torch.device) -> None:
    model = WorldModel(tiny_config(**page), seed=0).to(gpu).eval().requires_grad_(requires_grad=False)
    prior = frozen_prior(model)
    assert isinstance(prior, CapturedPrior)
    state, action = model.initial_state(3), torch.zeros(3, 7, device=gpu)
    for step in range(PLAIN_CALLS + 2):
        OnGpu.waits.clear()
        state = prior.imagine_step(state, action, torch_generator(step, device=gpu))
    assert prior._step.recorded
    assert OnGpu.waits == []
    assert isinstance(frozen_prior(model, capture=False), WorldModel)


def test_exploration_is_recorded_and_replayed(gpu: torch.device) -> None:
    diffusion = DiffusionConfig(hidden=16, denoising_steps=6, standardize_condition=False)
    policy = DiffusionPolicy(5, diffusion).to(gpu)
    sizes = {"iterations": 1, "envs": 3, "episodes_per_iteration": 3, "eval_every": 1, "critic_hidden": 4}
    page = PPOConfig(**sizes, ft_denoising_steps=2)
    learner = make_learner(policy, page, 0)
    assert isinstance(learner._replayed, Captured)
    for step in range(PLAIN_CALLS + 2):
        OnGpu.waits.clear()
        chain = learner.explore(torch.ones(3, 5, device=gpu), torch_generator(step))
    assert learner._replayed.recorded
    assert OnGpu.waits == []
    assert chain.actions.shape == (3, 3, 4, 7)
    assert not make_learner(policy, page, 0, capture=False)._replayed


@pytest.mark.slow
@pytest.mark.parametrize(
    "pages",
    [{}, {"rewards": {"judge": "classifier"}, "policy": {"sees": "features"}}],
    ids=["base", "as published"],
)
def test_every_stage_keeps_its_tensors_on_one_device(
    pages: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap_project(ROOT)
    options = {
        "compute": {"device": "cuda"},
        "data_root": str(tmp_path / "data"),
        "mlflow_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "mlflow_artifacts": str(tmp_path / "mlartifacts"),
        **pages,
    }
    with pretended_gpu(), KedroSession.create(ROOT, env="smoke", runtime_params=options) as session:
        session.run(runner=SequentialRunner(), to_nodes=["wam.open_drawer.evaluate_policies"])
    found = tmp_path.glob("data/07_model_output/wam/open_drawer/evaluation.parquet/*/*.parquet")
    assert set(pd.read_parquet(next(found))["policy"]) == {"cloned", "finetuned", "selected"}
    assert not [line for line in caplog.messages if "launched one by one" in line]
