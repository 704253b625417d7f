"""Stage 3: one world model per variant, and how well it predicts."""

from wam.pipelines.world_model.pipeline import create_pipeline

__all__ = ["create_pipeline"]
