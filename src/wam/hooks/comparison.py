"""Before world models are trained: in which settings they differ, the first thing to know of a comparison."""

import logging
from typing import Final

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from wam.pipelines.grid import WORLD_MODELS
from wam.pipelines.world_model.differences import differing_settings, settings_markdown

logger = logging.getLogger(__name__)

TRAININGS: Final = frozenset(f"{name}.train_world_model" for name in WORLD_MODELS)
"""Nodes that train a row of ``parameters_world_models.yml``."""


class ComparisonHooks:
    """Prints the table that docs/fidelity.md has for the environment ``paper``."""

    def __init__(self) -> None:
        self._table = ""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Compare the rows; the pages were checked before."""
        pages = context.params
        rows = pages["world_models"]
        found = differing_settings(rows, pages["world_model"], pages["world_model_training"])
        self._table = settings_markdown(rows, found)

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Print what was found, if this run trains any of them."""
        if TRAININGS & {node.name for node in pipeline.nodes}:
            logger.info("the world models differ in these settings and no other:\n%s", self._table.rstrip())
