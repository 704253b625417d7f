"""Wiring of the play stage."""

from kedro.pipeline import Node, Pipeline

from wam.pipelines.play.nodes import collect_play


def create_pipeline() -> Pipeline:
    """Play data out of nothing but settings."""
    return Pipeline(
        [
            Node(
                collect_play,
                ["params:simulator", "params:play", "params:compute", "work_dir"],
                ["play_report", "raw_episodes"],
                name="collect_play",
            )
        ],
        tags=["play"],
    )
