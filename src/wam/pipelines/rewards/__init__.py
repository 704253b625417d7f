"""Stage 5: success labels by replay, and a reward classifier per task."""

from wam.pipelines.rewards.pipeline import create_pipeline

__all__ = ["create_pipeline"]
