"""Wiring of the diagnostics stage."""

from collections.abc import Callable, Sequence

from kedro.pipeline import Node, Pipeline

from wam.pipelines.diagnostics.nodes import (
    calibrate_policy,
    collect_calibration,
    collect_tables,
    probe_world_model,
)
from wam.pipelines.grid import TASKS, WORLD_MODELS, Variant, cells, of_each
from wam.training.companion import apart

_PROBE_PAGES = ["probes", "probe_tolerances", "features", "evaluation", "compute", "seed"]
_PAGES = ["calibration", "imagination_starts", "ppo", "evaluation", "rewards", "simulator", "compute", "seed"]
_EPISODES = ["training_episodes", "validation_episodes"]
_SHARED = ["failure_episodes", "starts"]


def _probe_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                probe_world_model,
                ["world_model", "play_features", *_EPISODES, *[f"params:{page}" for page in _PROBE_PAGES]],
                ["probes", "probe_table", "drift_table", "event_table", "probe_metrics"],
                name="probe_world_model",
            )
        ]
    )


def _calibration_nodes() -> Pipeline:
    return Pipeline(
        [
            Node(
                apart(calibrate_policy),
                [
                    "world_model",
                    "cloned_policy",
                    "reward_classifier",
                    "scene_readout",
                    "probes",
                    *_SHARED,
                    "params:task",
                    *[f"params:{page}" for page in _PAGES],
                ],
                ["calibration", "detection", "policy_probes", "calibration_metrics"],
                name="calibrate_policy",
            )
        ]
    )


def _collect(
    function: Callable[..., object], condition: str, kind: str, outputs: str | list[str], pages: Sequence[str]
) -> Node:
    return Node(
        function,
        [*[_page(condition, page) for page in pages], *[f"{condition}.{task}.{kind}" for task in TASKS]],
        outputs,
        name=f"collect_{kind}",
        namespace=condition,
        tags=[condition],
    )


def _page(condition: str, page: str) -> str:
    name = f"params:{page}"
    return condition.own.get(name, name) if isinstance(condition, Variant) else name


def _gathered(condition: str) -> Pipeline:
    calibration = [f"{condition}.calibration_rows", f"{condition}.calibration_summary"]
    return Pipeline(
        [
            _collect(collect_calibration, condition, "calibration", calibration, ["calibration", "seed"]),
            _collect(collect_tables, condition, "detection", f"{condition}.detection_table", []),
            _collect(collect_tables, condition, "policy_probes", f"{condition}.policy_probe_table", []),
        ]
    )


def create_pipeline(conditions: Sequence[str] = WORLD_MODELS) -> Pipeline:
    """Probes of each world model; imagined beside real success, and the judges of it, in each of its cells.

    Args:
        conditions: World models.
    """
    probes = of_each(_probe_nodes, conditions, shared=_EPISODES, parameters=_PROBE_PAGES)
    calibration = cells(
        _calibration_nodes,
        conditions,
        shared=_SHARED,
        of_condition=["world_model", "scene_readout", "probes"],
        parameters=_PAGES,
    )
    return Pipeline([probes, calibration, *(_gathered(name) for name in conditions)])
