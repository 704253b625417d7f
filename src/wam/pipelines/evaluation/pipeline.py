"""Wiring of the evaluation stage."""

from collections.abc import Callable, Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.evaluation.nodes import (
    collect_curves,
    collect_metrics,
    collect_results,
    collect_videos,
    evaluate_cloned,
    evaluate_control,
    evaluate_expert,
    evaluate_policies,
    evaluate_random,
)
from wam.pipelines.grid import (
    BLIND,
    CONDITIONS,
    PROPRIO,
    REFERENCES,
    TASKS,
    cells,
    is_refined,
    is_world_model,
)
from wam.training.companion import apart

_SEEDLESS = ["evaluation", "simulator", "compute"]
"""Pages of the expert, which draws nothing; all others read ``seed`` too."""
_PAGES = [*_SEEDLESS, "seed"]
_PARAMS = ["params:task", *[f"params:{page}" for page in _PAGES]]


def _policy_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(evaluate_policies),
                [
                    "world_model",
                    *[f"{stage}_policy" for stage in ("cloned", "raw", "finetuned", "selected")],
                    "starts",
                    *_PARAMS,
                ],
                ["evaluation", "evaluation_metrics", "rollout_videos"],
                name="evaluate_policies",
            )
        ]
    )


def _cloned_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(evaluate_cloned),
                ["world_model", "cloned_policy", "raw_policy", "starts", *_PARAMS],
                ["evaluation", "evaluation_metrics", "rollout_videos"],
                name="evaluate_cloned",
            )
        ]
    )


def _control_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(evaluate_control),
                ["cloned_policy", "raw_policy", "starts", "proprio_statistics", "params:control", *_PARAMS],
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
                ["starts", "params:task", *[f"params:{page}" for page in _SEEDLESS]],
                ["evaluation", "evaluation_metrics"],
                name="evaluate_expert",
            )
        ]
    )


def _random_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(evaluate_random),
                ["starts", *_PARAMS],
                ["evaluation", "evaluation_metrics"],
                name="evaluate_random",
            )
        ]
    )


def _collect(
    function: Callable[..., object],
    condition: str,
    output: str,
    of_cells: Sequence[str],
    of_condition: Sequence[str] = (),
) -> Pipeline:
    """One artefact of a condition out of its cells' ones.

    A namespace whose outputs nobody inside gathers cannot be folded by Kedro-Viz, so everything is gathered.
    """
    inputs = [f"{condition}.{task}.{kind}" for kind in of_cells for task in TASKS]
    node = Node(
        function,
        [*inputs, *(f"{condition}.{kind}" for kind in of_condition)],
        f"{condition}.{output}",
        name=f"collect_{output}",
        namespace=condition,
        tags=[condition],
    )
    return Pipeline([node])


def _gathered(condition: str) -> Pipeline:
    trained, seeing = condition not in REFERENCES, is_world_model(condition)
    refined = is_refined(condition)
    figures = ["evaluation_metrics"]
    figures += ["calibration_metrics", "ppo_metrics"] if refined else []
    figures += ["reward_metrics"] if refined or condition == PROPRIO else []
    whole = ["open_loop_summary"] if seeing else []
    gathered = _collect(collect_results, condition, "results", ["evaluation"])
    gathered += _collect(collect_metrics, condition, "metrics", figures, whole)
    if trained:
        stages = ["cloning_curves", "ppo_curves"] if refined else ["cloning_curves"]
        gathered += _collect(collect_curves, condition, "curves", stages)
    if seeing:
        gathered += _collect(collect_videos, condition, "videos", ["rollout_videos"])
    return gathered


def _rows(condition: str) -> Pipeline:
    learned = _policy_nodes if is_refined(condition) else _cloned_nodes
    nodes = {"expert": _expert_nodes, "random": _random_nodes}.get(condition, learned)
    if condition in BLIND:
        return cells(
            _control_nodes,
            [condition],
            shared=["starts", "proprio_statistics"],
            parameters=_PAGES,
            rows={"control": "controls"},
        )
    of_condition = ["world_model"] if is_world_model(condition) else []
    pages = _SEEDLESS if condition == "expert" else _PAGES
    return cells(nodes, [condition], shared=["starts"], of_condition=of_condition, parameters=pages)


def create_pipeline(conditions: Sequence[str] = CONDITIONS) -> Pipeline:
    """Success of every policy of every condition from the same held-out starts, gathered per condition.

    Args:
        conditions: World models, controls and references.
    """
    return Pipeline(part for condition in conditions for part in (_rows(condition), _gathered(condition)))
