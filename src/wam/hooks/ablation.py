"""The pipeline ``ablation`` as its table says: Kedro builds pipelines before it knows any parameters.

Each row and seed of the table is a namespace of its own, so that one can be run, resumed and looked at alone.
Its pages are put below ``ablation_cells``, where the cells' nodes read them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline

from wam.contracts import config_from_dict
from wam.hooks.parameters import in_words
from wam.hooks.refusal import RunRefusedError
from wam.pipelines import ablation
from wam.pipelines.ablation.pipeline import PAGES
from wam.pipelines.ablation.table import AblationTable, cell_pages, cells_of_table, maker_of
from wam.pipelines.grid import cell_of
from wam.pipelines.page_checks import cell_world_model, check_cell
from wam.world_model.config import WorldModelConfig
from wam.world_model.training_config import WorldModelTrainingConfig


class WrongTableError(RunRefusedError):
    """The table of the ablation names what is not there."""


class AblationHooks:
    """Reads the table once the configuration is known, and checks the cells that are to run."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], None]] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Put the cells' pages among the parameters, and the table's pipeline among the pipelines.

        Raises:
            WrongTableError: Naming what is wrong with the table.
        """
        parameters = dict(context.config_loader["parameters"])
        if "ablation" not in parameters:
            return
        try:
            table = config_from_dict(AblationTable, parameters["ablation"])
            pages = cell_pages(table, parameters)
            cells = {name: {**parameters, **own} for name, own in pages.items()}
            _check_rows(cells, parameters)
        except ValueError as error:
            raise WrongTableError(f"parameters_ablation.yml: {in_words(error)}") from error
        context.config_loader["parameters"] = {**parameters, PAGES: pages}
        pipelines["ablation"] = ablation.create_pipeline(table, pages)
        self._checks = {
            cell.name: partial(
                check_cell, maker_of(table, cell).name, cells[cell.name], refined=table.rows[cell.row].ppo
            )
            for cell in cells_of_table(table)
        }

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Refuse what a cell of this run would fail at hours later.

        Raises:
            WrongTableError: Naming the cell and the settings that do not fit together.
        """
        cells = {cell[0] for node in pipeline.nodes if (cell := cell_of(node.namespace))}
        for name in sorted(cells & self._checks.keys()):
            try:
                self._checks[name]()
            except ValueError as error:
                raise WrongTableError(f"parameters_ablation.yml: row of {name}: {in_words(error)}") from error


def _check_rows(cells: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]) -> None:
    config_from_dict(WorldModelConfig, parameters["world_model"])  # what is wrong here is no row's fault
    config_from_dict(WorldModelTrainingConfig, parameters["world_model_training"])
    for name, pages in cells.items():
        try:
            cell_world_model(pages)
        except ValueError as error:
            raise ValueError(f"row of {name}: {in_words(error)}") from error
