"""Wiring of the PPO stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.grid import WORLD_MODELS, cells, is_world_model
from wam.pipelines.ppo.nodes import finetune_policy, render_imagination_starts
from wam.training.companion import apart

_PAGES = ["calibration", "ppo", "evaluation", "rewards", "simulator", "compute", "seed"]


def _shared_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(render_imagination_starts),
                ["params:simulator", "params:imagination_starts", "params:compute"],
                "imagination_starts",
                name="render_imagination_starts",
            )
        ],
        tags=["ppo"],
    )


def _nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(finetune_policy),
                [
                    "world_model",
                    "cloned_policy",
                    "reward_classifier",
                    "scene_readout",
                    "imagination_starts",
                    "starts",
                    "calibration",
                    "params:task",
                    *[f"params:{page}" for page in _PAGES],
                    "work_dir",
                ],
                ["finetuned_policy", "selected_policy", "ppo_curves", "ppo_metrics"],
                name="finetune_policy",
            )
        ]
    )


def create_pipeline(conditions: Sequence[str] = WORLD_MODELS) -> Pipeline:
    """Scenes to imagine from, once; a fine-tuned policy per world model and task.

    Args:
        conditions: World models.
    """
    seeing = [name for name in conditions if is_world_model(name)]
    return _shared_nodes() + cells(
        _nodes,
        seeing,
        shared=["imagination_starts", "starts", "work_dir"],
        of_condition=["world_model", "scene_readout"],
        parameters=_PAGES,
    )
