"""Every pipeline with its nodes, and through them every library: each stage, chains of stages, and checks."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Final

from kedro.pipeline import Pipeline

from wam.pipelines import ablation, ingest, online
from wam.pipelines.grid import STAGES, WORLD_MODELS, cell_of

_CREATE: Final[Mapping[str, Callable[..., Pipeline]]] = {
    name: import_module(f"wam.pipelines.{name}").create_pipeline for name in STAGES
}
"""What makes the pipeline of each stage."""
SHARED_STAGES: Final = ("play", "ingest", "reporting")
"""Stages that are no part of the pipelines named after one world model."""


@cache
def built() -> Mapping[str, Pipeline]:
    """Each stage, each world model's own chain, everything, parts of it, and checks."""
    stages = {name: create() for name, create in _CREATE.items()}
    everything = sum(stages.values(), Pipeline([]))
    own = [create for name, create in _CREATE.items() if name not in SHARED_STAGES]
    chains = {
        name: sum((create(conditions=(name,)) for create in own), Pipeline([])) for name in WORLD_MODELS
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
