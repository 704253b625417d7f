"""Every pipeline with its nodes, and through them every library: each stage, chains of stages, and checks."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from kedro.pipeline import Pipeline

from wam.pipelines import (
    ablation,
    behavior_cloning,
    diagnostics,
    evaluation,
    features,
    ingest,
    online,
    play,
    ppo,
    reporting,
    rewards,
    world_model,
)
from wam.pipelines.grid import WORLD_MODELS, cell_of

STAGES: Final[Mapping[str, Callable[[], Pipeline]]] = {
    "play": play.create_pipeline,
    "ingest": ingest.create_pipeline,
    "world_model": world_model.create_pipeline,
    "features": features.create_pipeline,
    "rewards": rewards.create_pipeline,
    "behavior_cloning": behavior_cloning.create_pipeline,
    "diagnostics": diagnostics.create_pipeline,
    "ppo": ppo.create_pipeline,
    "evaluation": evaluation.create_pipeline,
    "reporting": reporting.create_pipeline,
}

PER_WORLD_MODEL: Final = (
    world_model,
    features,
    rewards,
    behavior_cloning,
    diagnostics,
    ppo,
    evaluation,
)
"""Stages of the pipelines that are named after one world model."""


@cache
def built() -> Mapping[str, Pipeline]:
    """Each stage, each world model's own chain, everything, parts of it, and checks."""
    stages = {name: create() for name, create in STAGES.items()}
    everything = sum(stages.values(), Pipeline([]))
    chains = {
        name: sum((stage.create_pipeline(conditions=(name,)) for stage in PER_WORLD_MODEL), Pipeline([]))
        for name in WORLD_MODELS
    }
    return {
        **stages,
        **chains,
        "reproduce": everything - stages["play"],
        "shared": _before_cells(everything),
        "verify_episodes": ingest.create_verification(),
        "ablation": ablation.create_pipeline(),  # hooks.ablation adds the cells that its table names
        "online": online.create_pipeline(),
        "__default__": everything,
    }


def _before_cells(everything: Pipeline) -> Pipeline:
    """What cells share: with it done, every cell can be run alone, on any machine."""
    cells = [node.name for node in everything.nodes if cell_of(node.namespace)]
    return everything - everything.from_nodes(*cells)
