"""Wiring of the behavior-cloning stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.behavior_cloning.nodes import clone_control, clone_policy
from wam.pipelines.grid import BLIND, WORLD_MODELS, cells, is_world_model
from wam.training.companion import apart

_PAGES = ["policy", "behavior_cloning", "compute", "seed"]
_INPUTS = [
    *["expert_features", "expert_segments", "params:task"],
    *[f"params:{page}" for page in _PAGES],
    "work_dir",
]
_OUTPUTS = ["cloned_policy", "raw_policy", "cloning_curves"]
_SHARED = ["expert_segments", "work_dir"]


def _nodes() -> Pipeline:
    return Pipeline([Node(apart(clone_policy), ["world_model", *_INPUTS], _OUTPUTS, name="clone_policy")])


def _control_nodes() -> Pipeline:
    return Pipeline([Node(apart(clone_control), _INPUTS, _OUTPUTS, name="clone_policy")])


def create_pipeline(conditions: Sequence[str] = (*WORLD_MODELS, *BLIND)) -> Pipeline:
    """A policy per condition and task.

    Args:
        conditions: World models and controls.
    """
    seeing = [name for name in conditions if is_world_model(name)]
    blind = [name for name in conditions if name in BLIND]
    return cells(
        _nodes,
        seeing,
        shared=_SHARED,
        of_condition=["world_model", "expert_features"],
        parameters=_PAGES,
    ) + cells(
        _control_nodes,
        blind,
        shared=_SHARED,
        of_condition=["expert_features"],
        parameters=_PAGES,
    )
