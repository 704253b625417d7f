"""Stage 5: success labels by replay, a readout of the scene per world model, a classifier per task."""

from wam.pipelines.rewards.pipeline import create_pipeline

__all__ = ["create_pipeline"]
