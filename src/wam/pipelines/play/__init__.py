"""Stage 1: play data of our own table, in CALVIN's format."""

from wam.pipelines.play.pipeline import create_pipeline

__all__ = ["create_pipeline"]
