"""Beside the stages: the same fine-tuning in the simulator itself, and what it needs to match imagination."""

from wam.pipelines.online.pipeline import create_pipeline

__all__ = ["create_pipeline"]
