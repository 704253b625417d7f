"""Stage 7: what features know, how long imagination keeps it, and whether PPO may believe it."""

from wam.pipelines.diagnostics.pipeline import create_pipeline

__all__ = ["create_pipeline"]
