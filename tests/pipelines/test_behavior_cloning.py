"""What cloned policies are conditioned on: features, the arm beside them, or what a control sees."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.io.core import Version
from toy_world import tiny_config

from wam.datasets import Arrays, ArraysDataset
from wam.pipelines.behavior_cloning import create_pipeline
from wam.pipelines.behavior_cloning.nodes import clone_control, clone_policy
from wam.pipelines.pages import ComputeConfig, TaskRow
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.training.config import OptimizerConfig
from wam.world_model.model import WorldModel

ROWS = 40
CLONING = CloningConfig(optimizer=OptimizerConfig(learning_rate=1e-3), batch=8, steps=3)
COMPUTE = ComputeConfig(device="cpu", workers=1, in_process=True)
SEGMENTS = pd.DataFrame({"task": ["open_drawer"] * 4, "role": "demo"})


def expert(folder: Path, width: int) -> Arrays:
    rng = np.random.default_rng(0)
    dataset = ArraysDataset(filepath=str(folder / "features"), version=Version(None, "v1"))
    dataset.save(
        {
            "feat": rng.normal(size=(ROWS, width)).astype(np.float32),
            "proprio": rng.uniform(2, 3, size=(ROWS, 18)).astype(np.float32),
            "action": rng.uniform(-1, 1, (ROWS, 7)).astype(np.float32),
            "segment": np.repeat(np.arange(4), 10),
            "step": np.tile(np.arange(10), 4),
        }
    )
    return dataset.load()


def page(sees: str, *, standardize: bool = True) -> DiffusionConfig:
    return DiffusionConfig(hidden=8, denoising_steps=3, standardize_condition=standardize, sees=sees)


@pytest.mark.parametrize("sees", ["features", "features_and_proprio"])
def test_a_policy_is_cloned_on_what_it_sees(tmp_path, sees):
    model = WorldModel(tiny_config())
    model.proprio_normalizer.set_bounds_(np.full(18, 2.0), np.linspace(3, 5, 18))
    features = expert(tmp_path, model.feat_dim)
    settings = TaskRow(name="open_drawer"), page(sees), CLONING, COMPUTE, 0, tmp_path / "work"
    cloned, raw, _ = clone_policy(model.to_checkpoint(), features, SEGMENTS, *settings)
    policy = DiffusionPolicy.from_checkpoint(cloned)
    assert policy.sees == DiffusionPolicy.from_checkpoint(raw).sees == sees
    normalised = (features["proprio"] - 2.0) / (np.linspace(3, 5, 18) - 2.0)
    parts = [features["feat"]] + ([normalised] if sees == "features_and_proprio" else [])
    starts = np.isin(np.tile(np.arange(10), 4), range(7))  # rows from which four actions follow
    mean = np.concatenate(parts, 1)[starts].mean(0)
    np.testing.assert_allclose(policy.standardizer.mean.numpy(), mean, atol=1e-5)


def test_a_control_is_cloned_on_its_own_vector_whatever_policies_see(tmp_path):
    features = expert(tmp_path, 5)
    made = []
    for sees in ("features", "features_and_proprio"):
        settings = TaskRow(name="open_drawer"), page(sees), CLONING, COMPUTE, 0, tmp_path / "work"
        made.append(clone_control(features, SEGMENTS, *settings)[0])
    assert made[0].digest == made[1].digest
    policy = DiffusionPolicy.from_checkpoint(made[1])
    assert (policy.cond_dim, policy.sees) == (5, "features")


def test_only_policies_of_world_models_need_one():
    reads = {node.namespace: set(node.inputs) for node in create_pipeline(("wam", "proprio")).nodes}
    assert "wam.world_model" in reads["wam.open_drawer"]
    assert not any("world_model" in name for name in reads["proprio.open_drawer"])
