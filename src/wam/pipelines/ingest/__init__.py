"""Stage 2: a raw CALVIN folder to packed episodes, expert segments and held-out starts."""

from wam.pipelines.ingest.pipeline import create_pipeline, create_verification

__all__ = ["create_pipeline", "create_verification"]
