"""Wiring of the reporting stage."""

from kedro.pipeline import Node, Pipeline

from wam.pipelines.grid import CONDITIONS, WORLD_MODELS
from wam.pipelines.reporting.nodes import (
    average_success,
    compare_metrics,
    compare_success,
    compare_world_models,
    diagnose,
    draw_figures,
    render_report,
)


def _of_each(kinds: list[str], conditions: tuple[str, ...] = WORLD_MODELS) -> list[str]:
    return [f"{condition}.{kind}" for kind in kinds for condition in conditions]


def create_pipeline() -> Pipeline:
    """Tables, figures and the page, of whichever conditions have results."""
    return Pipeline(
        [
            Node(
                compare_success,
                _of_each(["results"], CONDITIONS),
                ["success_rows", "success_table", "success_table_markdown"],
                name="compare_success",
            ),
            Node(average_success, "success_table", "mean_success", name="average_success"),
            Node(
                compare_metrics,
                _of_each(["metrics"], CONDITIONS),
                ["metrics_table", "reward_table"],
                name="compare_metrics",
            ),
            Node(
                compare_world_models,
                _of_each(["open_loop_quality"]),
                "open_loop_table",
                name="compare_world_models",
            ),
            Node(
                draw_figures,
                ["success_table", "open_loop_table", *_of_each(["world_model_curves", "curves"])],
                "figures",
                name="draw_figures",
            ),
            Node(
                diagnose,
                [
                    "params:calibration",
                    "params:policy",
                    "params:report",
                    "success_table",
                    *_of_each(
                        [
                            "probe_table",
                            "policy_probe_table",
                            "drift_table",
                            "event_table",
                            "calibration_rows",
                            "detection_table",
                        ]
                    ),
                ],
                "diagnosis",
                name="diagnose_policies",
            ),
            Node(
                render_report,
                [
                    "params:report",
                    "params:policy",
                    "params:evaluation",
                    "params:ppo",
                    "params:seed",
                    "lineage",
                    "success_rows",
                    "success_table",
                    "metrics_table",
                    "reward_table",
                    "replay_success",
                    "figures",
                    "diagnosis",
                    *_of_each(["open_loop_pictures", "videos"]),
                ],
                "report",
                name="render_report",
            ),
        ],
        tags=["reporting"],
    )
