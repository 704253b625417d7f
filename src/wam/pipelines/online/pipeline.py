"""Wiring of fine-tuning in the simulator."""

from kedro.pipeline import Node, Pipeline

from wam.pipelines.grid import TASKS, WORLD_MODELS, cells
from wam.pipelines.online.nodes import (
    CELLS,
    compare_online,
    evaluate_online,
    finetune_online,
    trace_online,
)

_PAGES = ["online", "ppo", "imagination_starts", "evaluation", "simulator", "compute", "seed"]


def _nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                finetune_online,
                [
                    "world_model",
                    "cloned_policy",
                    "starts",
                    "params:task",
                    *[f"params:{page}" for page in _PAGES],
                    "work_dir",
                ],
                ["online_policy", "online_curves", "online_metrics"],
                name="finetune_online",
            ),
            Node(
                evaluate_online,
                [
                    "world_model",
                    "online_policy",
                    "starts",
                    "params:task",
                    *[f"params:{page}" for page in ("evaluation", "simulator", "compute", "seed")],
                ],
                ["online_evaluation", "online_evaluation_metrics"],
                name="evaluate_online",
            ),
            Node(
                trace_online,
                [
                    *["online_curves", "ppo_curves", "evaluation", "online_evaluation"],
                    *["starts", "params:task", "params:online", "params:evaluation"],
                ],
                ["online_points", "online_results"],
                name="trace_online",
            ),
        ]
    )


def create_pipeline() -> Pipeline:
    """Every world model's cloned policies refined in the simulator; a page about those that were run."""
    kinds = ("online_points", "online_results")
    page = Node(
        compare_online,
        [
            *["lineage", "params:report", "params:seed"],
            *[f"{name}.{task}.{kind}" for kind in kinds for name, task in CELLS],
        ],
        ["online_points", "online_table", "online_markdown", "online_report"],
        name="compare_online",
        tags=[*WORLD_MODELS, *TASKS],
    )
    refined = cells(
        _nodes, WORLD_MODELS, shared=["starts", "work_dir"], of_condition=["world_model"], parameters=_PAGES
    )
    return refined + Pipeline([page])
