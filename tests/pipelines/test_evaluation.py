"""How the policies of a cell are evaluated."""

import copy
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import torch

from wam.evaluation.rollout import RolloutResult
from wam.nn.linear_init import fan_in_uniform_
from wam.pipelines.evaluation import nodes
from wam.pipelines.evaluation.nodes import each_behavior_once, rows_and_rates
from wam.pipelines.pages import ComputeConfig, EvaluationConfig, TaskRow
from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.fine_tuned import FineTunedPolicy
from wam.policy.load import Policy, behavior_digest
from wam.sim.config import SimConfig
from wam.training.checkpoint import Checkpoint

CONFIG = DiffusionConfig(hidden=16, denoising_steps=5, standardize_condition=False)


@pytest.fixture
def cloned() -> DiffusionPolicy:
    policy = DiffusionPolicy(4, CONFIG)
    fan_in_uniform_(policy, 0)
    return policy.eval()


def fine_tuned(base: DiffusionPolicy, *, change: float) -> FineTunedPolicy:
    actor = copy.deepcopy(base)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.add_(change)
    return FineTunedPolicy(copy.deepcopy(base), actor, 2).eval()


def actions(policy: Policy) -> torch.Tensor:
    return policy.sample(torch.ones(3, 4), generator=torch.Generator().manual_seed(1), deterministic=True)


@pytest.mark.parametrize("change", [0.0, 0.1])
def test_equal_digests_mean_equal_actions(cloned: DiffusionPolicy, change: float) -> None:
    tuned = fine_tuned(cloned, change=change)
    same = behavior_digest(tuned) == behavior_digest(cloned)
    assert same == (change == 0)
    assert torch.equal(actions(tuned), actions(cloned)) == same


def test_a_policy_that_acts_like_an_earlier_one_is_not_rolled_out_again(cloned: DiffusionPolicy) -> None:
    rolled: list[str] = []

    def roll(name: str, policy: Policy) -> RolloutResult:
        assert isinstance(policy, DiffusionPolicy | FineTunedPolicy)
        rolled.append(name)
        clip = np.zeros((2, 4, 8, 3), np.uint8)
        return RolloutResult(np.array([len(rolled) == 1, True]), np.array([9, 5]), {0: clip})

    last = fine_tuned(cloned, change=0.1)
    for selected, twin in ((fine_tuned(cloned, change=0.0), "cloned"), (copy.deepcopy(last), "finetuned")):
        rolled.clear()
        policies = {"cloned": cloned, "finetuned": last, "selected": selected}
        results, repeated = each_behavior_once(policies, roll)
        assert rolled == ["cloned", "finetuned"]
        assert repeated == {f"selected_is_{twin}": 1.0}
        rows, metrics = rows_and_rates(results, "open_drawer")
        assert len(rows) == 6
        assert metrics["selected_success"] == metrics[f"{twin}_success"]
        assert results["selected"] is results[twin]


def test_three_policies_that_differ_are_all_rolled_out(cloned: DiffusionPolicy) -> None:
    policies = {
        "cloned": cloned,
        "finetuned": fine_tuned(cloned, change=0.1),
        "selected": fine_tuned(cloned, change=0.2),
    }
    result = RolloutResult(np.array([True]), np.array([3]))
    results, repeated = each_behavior_once(policies, lambda _name, _policy: result)
    assert list(results) == list(policies)
    assert repeated == {}


@pytest.mark.parametrize("weights", ["averaged", "raw"])
def test_weights_that_count_as_cloned(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault B13: the last weights are reported as cloned, fine-tuning begins with the averaged ones."""
    seen: dict[str, str] = {}

    def note(_model: Checkpoint, checkpoints: Mapping[str, Checkpoint], *_: object) -> None:
        seen.update({name: checkpoint.kind for name, checkpoint in checkpoints.items()})

    monkeypatch.setattr(nodes, "evaluate_checkpoints", note)
    model, averaged, raw, last, best = (
        Checkpoint(kind, {}, {}, {}) for kind in ("model", "averaged", "raw", "last", "best")
    )
    page = EvaluationConfig(start_repeats=1, videos=0, cloned_weights=weights)
    rest = (
        pd.DataFrame(),
        TaskRow(name="open_drawer"),
        page,
        SimConfig(),
        ComputeConfig(device="cpu", workers=1),
        0,
    )
    nodes.evaluate_policies(model, averaged, raw, last, best, *rest)
    assert seen == {"cloned": weights, "finetuned": "last", "selected": "best"}
    seen.clear()
    nodes.evaluate_cloned(model, averaged, raw, *rest)
    assert seen == {"cloned": weights}
