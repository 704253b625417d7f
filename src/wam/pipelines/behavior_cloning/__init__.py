"""Stage 6: diffusion policies cloned from expert segments."""

from wam.pipelines.behavior_cloning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
