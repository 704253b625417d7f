"""Wiring of the evaluation stage."""

from collections.abc import Callable, Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.evaluation.nodes import (
    collect_curves,
    collect_results,
    collect_reward_results,
    collect_videos,
    evaluate_control,
    evaluate_expert,
    evaluate_policies,
    evaluate_random,
)
from wam.pipelines.grid import BLIND, CONDITIONS, TASKS, WORLD_MODELS, cells

_PAGES = ["evaluation", "simulator", "compute", "seed"]
_PARAMS = ["params:task", *[f"params:{page}" for page in _PAGES]]


def _policy_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                evaluate_policies,
                ["world_model", "cloned_policy", "finetuned_policy", "selected_policy", "starts", *_PARAMS],
                ["evaluation", "evaluation_metrics", "rollout_videos"],
                name="evaluate_policies",
            )
        ]
    )


def _control_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                evaluate_control,
                ["cloned_policy", "starts", "proprio_statistics", "params:control", *_PARAMS],
                ["evaluation", "evaluation_metrics"],
                name="evaluate_control",
            )
        ]
    )


def _expert_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                evaluate_expert,
                ["starts", *_PARAMS],
                ["evaluation", "evaluation_metrics"],
                name="evaluate_expert",
            )
        ]
    )


def _random_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                evaluate_random,
                ["starts", *_PARAMS],
                ["evaluation", "evaluation_metrics"],
                name="evaluate_random",
            )
        ]
    )


def _collect(function: Callable[..., object], condition: str, kinds: Sequence[str], output: str) -> Pipeline:
    """One table of a condition out of the cells' ones; it also closes the namespace for Kedro-Viz."""
    inputs = [f"{condition}.{task}.{kind}" for task in TASKS for kind in kinds]
    node = Node(
        function,
        inputs,
        f"{condition}.{output}",
        name=f"collect_{output}",
        namespace=condition,
        tags=[condition],
    )
    return Pipeline([node])


def _rows(condition: str) -> Pipeline:
    nodes = {"expert": _expert_nodes, "random": _random_nodes}.get(condition, _policy_nodes)
    if condition in BLIND:
        return cells(
            _control_nodes,
            [condition],
            shared=["starts", "proprio_statistics"],
            parameters=_PAGES,
            rows={"control": "controls"},
        )
    of_condition = ["world_model"] if condition in WORLD_MODELS else []
    return cells(nodes, [condition], shared=["starts"], of_condition=of_condition, parameters=_PAGES)


def create_pipeline(conditions: Sequence[str] = CONDITIONS) -> Pipeline:
    """Success of every policy of every condition from the same held-out starts, gathered per condition.

    Args:
        conditions: World models, controls and references.
    """
    stage = Pipeline([])
    for condition in conditions:
        stage += _rows(condition) + _collect(collect_results, condition, ["evaluation"], "results")
        if condition in WORLD_MODELS:
            stage += _collect(collect_curves, condition, ["cloning_curves", "ppo_curves"], "curves")
            stage += _collect(collect_videos, condition, ["rollout_videos"], "videos")
        if condition in (*WORLD_MODELS, "proprio"):
            stage += _collect(collect_reward_results, condition, ["reward_metrics"], "reward_results")
    return stage
