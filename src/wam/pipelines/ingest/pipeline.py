"""Wiring of the ingest stage."""

from kedro.pipeline import Node, Pipeline

from wam.pipelines.ingest.nodes import (
    compute_proprio_statistics,
    list_starts,
    pack_training,
    pack_validation,
    refuse_faulty_episodes,
    select_expert_segments,
    verify_episodes,
)


def create_pipeline() -> Pipeline:
    """Raw episodes to episode stores, statistics, expert segments and starts."""
    return Pipeline(
        [
            Node(
                pack_training,
                ["raw_episodes", "params:ingest", "params:compute", "work_dir"],
                ["training_report", "training_episodes"],
                name="pack_training",
            ),
            Node(
                pack_validation,
                ["raw_episodes", "params:ingest", "params:compute", "work_dir"],
                ["validation_report", "validation_episodes"],
                name="pack_validation",
            ),
            Node(
                compute_proprio_statistics,
                ["training_episodes", "validation_episodes"],
                "proprio_statistics",
                name="compute_proprio_statistics",
            ),
            Node(
                select_expert_segments,
                ["raw_episodes", "training_episodes", "validation_episodes", "params:selection"],
                "expert_segments",
                name="select_expert_segments",
            ),
            Node(
                list_starts,
                ["expert_segments", "validation_episodes"],
                "starts",
                name="list_starts",
            ),
        ],
        tags=["ingest"],
    )


def create_verification() -> Pipeline:
    """Checks of the packed episodes against the folder they came from; changes nothing."""
    return Pipeline(
        [
            Node(
                verify_episodes,
                ["raw_episodes", "training_episodes", "validation_episodes"],
                "verification",
                name="verify_episodes",
            ),
            Node(refuse_faulty_episodes, ["verification"], None, name="refuse_faulty_episodes"),
        ],
        tags=["verify_episodes"],
    )
