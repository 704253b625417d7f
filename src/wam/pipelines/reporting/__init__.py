"""Stage 10: tables, plots and the report page."""

from wam.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
