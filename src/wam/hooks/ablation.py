"""The pipeline ``ablation`` as its table says: Kedro builds pipelines before it knows any parameters.

Each row and seed of the table is a namespace of its own, so that one can be run, resumed and looked at alone.
Its pages are put below ``ablation_cells``, where the cells' nodes read them.
"""

from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from pydantic import ValidationError

from wam.contracts import config_from_dict
from wam.hooks.refusal import RunRefusedError
from wam.pipelines import ablation
from wam.pipelines.ablation.pipeline import PAGES
from wam.pipelines.ablation.table import AblationTable, cell_pages, cells_of_table
from wam.pipelines.pages import WorldModelRow, check_sight
from wam.policy.config import DiffusionConfig
from wam.world_model.config import WorldModelConfig, WorldModelTrainingConfig


class WrongTableError(RunRefusedError):
    """The table of the ablation names what is not there."""


class AblationHooks:
    """Reads the table once the configuration is known."""

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
            _check_world_models(table, pages, parameters)
        except (ValidationError, ValueError) as error:
            raise WrongTableError(f"parameters_ablation.yml: {error}") from error
        context.config_loader["parameters"] = {**parameters, PAGES: pages}
        pipelines["ablation"] = ablation.create_pipeline(table, pages)


def _check_world_models(
    table: AblationTable, pages: dict[str, dict[str, Any]], parameters: dict[str, Any]
) -> None:
    model = config_from_dict(WorldModelConfig, parameters["world_model"])
    training = config_from_dict(WorldModelTrainingConfig, parameters["world_model_training"])
    shared = config_from_dict(DiffusionConfig, parameters["policy"])
    for cell in cells_of_table(table):
        own = pages[cell.name]
        try:
            applied, _ = config_from_dict(WorldModelRow, own["row"]).applied(model, training)
        except ValidationError as error:
            raise ValueError(f"row of {cell.name}: {error}") from error
        policy = config_from_dict(DiffusionConfig, own.get("policy", parameters["policy"]))
        as_the_grid = policy.sees == shared.sees and applied.losses.proprio_coef == model.losses.proprio_coef
        if table.rows[cell.row].ppo and not as_the_grid:  # whose pages are checked for themselves
            check_sight(policy, {cell.name: applied})
