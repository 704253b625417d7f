"""Wiring of the features stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.features.nodes import featurize_experts, featurize_play, observe_experts
from wam.pipelines.grid import BLIND, WORLD_MODELS, is_world_model, of_each

_SHARED = ["training_episodes", "expert_segments"]


def _nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                featurize_play,
                ["world_model", "training_episodes", "params:features", "params:compute", "params:seed"],
                "play_features",
                name="featurize_play",
            ),
            Node(
                featurize_experts,
                ["world_model", *_SHARED, "params:features", "params:compute", "params:seed"],
                "expert_features",
                name="featurize_experts",
            ),
        ]
    )


def _blind_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                observe_experts,
                [*_SHARED, "proprio_statistics", "params:control"],
                "expert_features",
                name="observe_experts",
            )
        ]
    )


def create_pipeline(conditions: Sequence[str] = (*WORLD_MODELS, *BLIND)) -> Pipeline:
    """Features of play and expert frames; for the controls, the vectors that they see instead.

    Args:
        conditions: World models and controls.
    """
    seeing = [name for name in conditions if is_world_model(name)]
    blind = [name for name in conditions if name in BLIND]
    return of_each(_nodes, seeing, shared=_SHARED, parameters=["features", "compute", "seed"]) + of_each(
        _blind_nodes, blind, shared=[*_SHARED, "proprio_statistics"], rows={"control": "controls"}
    )
