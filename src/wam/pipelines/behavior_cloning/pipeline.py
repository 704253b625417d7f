"""Wiring of the behavior-cloning stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.behavior_cloning.nodes import clone_policy
from wam.pipelines.grid import BLIND, REFERENCES, WORLD_MODELS, cells

_PAGES = ["policy", "behavior_cloning", "compute", "seed"]


def _nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                clone_policy,
                [
                    "expert_features",
                    "expert_segments",
                    "params:task",
                    *[f"params:{page}" for page in _PAGES],
                    "work_dir",
                ],
                ["cloned_policy", "raw_policy", "cloning_curves"],
                name="clone_policy",
            )
        ]
    )


def create_pipeline(conditions: Sequence[str] = (*WORLD_MODELS, *BLIND)) -> Pipeline:
    """A policy per condition and task.

    Args:
        conditions: World models and controls.
    """
    learned = [name for name in conditions if name not in REFERENCES]
    return cells(
        _nodes,
        learned,
        shared=["expert_segments", "work_dir"],
        of_condition=["expert_features"],
        parameters=_PAGES,
    )
