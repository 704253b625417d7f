"""Beside the stages: rows of settings, each trained with several seeds, evaluated and compared."""

from wam.pipelines.ablation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
