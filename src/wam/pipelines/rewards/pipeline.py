"""Wiring of the rewards stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.grid import PROPRIO, WORLD_MODELS, cells, is_world_model
from wam.pipelines.rewards.nodes import (
    label_experts,
    record_near_misses,
    train_proprio_classifier,
    train_reward_classifier,
)
from wam.training.companion import apart

_PAGES = ["rewards", "classifier", "classifier_training", "compute", "seed"]
_SHARED = ["training_episodes", "expert_labels", "failure_episodes"]


def _shared_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                label_experts,
                [
                    "expert_segments",
                    "training_episodes",
                    "params:simulator",
                    "params:rewards",
                    "params:compute",
                ],
                ["expert_labels", "replay_success"],
                name="label_experts",
            ),
            Node(
                record_near_misses,
                ["params:simulator", "params:near_misses", "params:compute"],
                "failure_episodes",
                name="record_near_misses",
            ),
        ],
        tags=["rewards"],
    )


def _nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(train_reward_classifier),
                [
                    "world_model",
                    "play_features",
                    "expert_features",
                    *_SHARED,
                    "params:task",
                    *[f"params:{page}" for page in _PAGES],
                ],
                ["reward_classifier", "reward_metrics"],
                name="train_reward_classifier",
            )
        ]
    )


def _proprio_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(train_proprio_classifier),
                [
                    "expert_features",
                    *_SHARED,
                    "proprio_statistics",
                    "params:task",
                    *[f"params:{page}" for page in _PAGES],
                ],
                "reward_metrics",
                name="train_proprio_classifier",
            )
        ]
    )


def create_pipeline(conditions: Sequence[str] = (*WORLD_MODELS, PROPRIO)) -> Pipeline:
    """Labels and near misses once; a classifier per world model and task; a blind one to compare with.

    Args:
        conditions: World models, and ``proprio`` for the blind classifier.
    """
    seeing = [name for name in conditions if is_world_model(name)]
    blind = [name for name in conditions if name == PROPRIO]
    return (
        _shared_nodes()
        + cells(
            _nodes,
            seeing,
            shared=_SHARED,
            of_condition=["world_model", "play_features", "expert_features"],
            parameters=_PAGES,
        )
        + cells(
            _proprio_nodes,
            blind,
            shared=[*_SHARED, "proprio_statistics"],
            of_condition=["expert_features"],
            parameters=_PAGES,
        )
    )
