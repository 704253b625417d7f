"""Stage 8: policies refined in imagination."""

from wam.pipelines.ppo.pipeline import create_pipeline

__all__ = ["create_pipeline"]
