"""Wiring of the rewards stage."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.grid import PROPRIO, WORLD_MODELS, cells, is_world_model, of_each
from wam.pipelines.rewards.nodes import (
    label_experts,
    record_near_misses,
    train_proprio_classifier,
    train_reward_classifier,
    train_scene_readout,
)
from wam.training.companion import apart

_PAGES = ["rewards", "classifier", "classifier_training", "compute", "seed"]
_READOUT_PAGES = ["readout", "readout_training", "compute", "seed"]
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


def _readout_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(train_scene_readout),
                [
                    "world_model",
                    "play_features",
                    "training_episodes",
                    *[f"params:{page}" for page in _READOUT_PAGES],
                ],
                ["scene_readout", "readout_metrics"],
                name="train_scene_readout",
            )
        ]
    )


def _nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(train_reward_classifier),
                [
                    "world_model",
                    "scene_readout",
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
    """Labels and near misses once; a readout per world model, a classifier per cell; a blind one beside them.

    Args:
        conditions: World models, and ``proprio`` for the blind classifier.
    """
    seeing = [name for name in conditions if is_world_model(name)]
    blind = [name for name in conditions if name == PROPRIO]
    return (
        _shared_nodes()
        + of_each(_readout_nodes, seeing, shared=["training_episodes"], parameters=_READOUT_PAGES)
        + cells(
            _nodes,
            seeing,
            shared=_SHARED,
            of_condition=["world_model", "scene_readout", "play_features", "expert_features"],
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
