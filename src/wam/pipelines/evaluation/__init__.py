"""Stage 9: closed-loop success from held-out starts, with controls."""

from wam.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
