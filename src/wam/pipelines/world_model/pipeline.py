"""Wiring of the world-model stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.grid import WORLD_MODELS, of_each
from wam.pipelines.world_model.nodes import measure_open_loop, train_world_model


def _nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                train_world_model,
                [
                    "training_episodes",
                    "validation_episodes",
                    "proprio_statistics",
                    "params:world_model",
                    "params:row",
                    "params:world_model_training",
                    "params:compute",
                    "params:seed",
                    "work_dir",
                ],
                ["world_model", "world_model_curves"],
                name="train_world_model",
            ),
            Node(
                measure_open_loop,
                ["world_model", "validation_episodes", "params:open_loop", "params:compute", "params:seed"],
                ["open_loop_quality", "open_loop_summary", "open_loop_pictures"],
                name="measure_open_loop",
            ),
        ]
    )


def create_pipeline(conditions: Sequence[str] = WORLD_MODELS) -> Pipeline:
    """Training and open-loop quality of each world model.

    Args:
        conditions: World models.
    """
    return of_each(
        _nodes,
        conditions,
        shared=["training_episodes", "validation_episodes", "proprio_statistics", "work_dir"],
        parameters=["world_model", "world_model_training", "open_loop", "compute", "seed"],
        rows={"row": "world_models"},
    )
