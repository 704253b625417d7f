"""Stage 4: what the world models, and the controls beside them, see of play and expert frames."""

from wam.pipelines.features.pipeline import create_pipeline

__all__ = ["create_pipeline"]
