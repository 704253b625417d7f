"""The pipeline ``ablation`` as its table says: Kedro builds pipelines before it knows any parameters.

Each row and seed of the table is a namespace of its own, so that one can be run, resumed and looked at alone.
Its pages are put below ``ablation_cells``, where the cells' nodes read them.
"""

from collections.abc import Mapping
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from wam.contracts import config_from_dict
from wam.hooks.refusal import RunRefusedError
from wam.pipelines import ablation
from wam.pipelines.ablation.pipeline import PAGES
from wam.pipelines.ablation.table import AblationTable, cell_pages, cells_of_table
from wam.pipelines.page_checks import check_demonstrations, check_refinement, check_sight
from wam.pipelines.pages import WorldModelRow
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.rl.config import PPOConfig
from wam.tasks.selection import SelectionConfig
from wam.world_model.config import WorldModelConfig, WorldModelTrainingConfig


class WrongTableError(RunRefusedError):
    """The table of the ablation names what is not there."""


class AblationHooks:
    """Reads the table once the configuration is known, and checks the cells that are to run."""

    def __init__(self) -> None:
        self._refined: dict[str, bool] = {}
        self._read: dict[str, dict[str, Any]] = {}

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
        self._refined = {cell.name: table.rows[cell.row].ppo for cell in cells_of_table(table)}
        self._read = {name: {**parameters, **own} for name, own in pages.items()}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Refuse what a cell of this run would fail at hours later.

        Raises:
            WrongTableError: Naming the cell and the settings that do not fit together.
        """
        namespaces = {(node.namespace or "").split(".")[0] for node in pipeline.nodes}
        for name in sorted(namespaces & self._read.keys()):
            try:
                check_cell(self._read[name], refined=self._refined[name])
            except (ValidationError, ValueError) as error:
                raise WrongTableError(f"parameters_ablation.yml: row of {name}: {error}") from error


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


def check_cell(pages: Mapping[str, Any], *, refined: bool) -> None:
    """Check what no page of a cell can check alone, as ``page_checks.check_pages`` does for the grid.

    Args:
        pages: Plain values of all pages that it reads.
        refined: Whether PPO refines its policies.

    Raises:
        ValueError: Naming the settings that do not fit together.
    """
    cloning = config_from_dict(CloningConfig, pages["behavior_cloning"])
    check_demonstrations(cloning, config_from_dict(SelectionConfig, pages["selection"]))
    if refined:
        policy = config_from_dict(DiffusionConfig, pages["policy"])
        check_refinement(policy, config_from_dict(PPOConfig, pages["ppo"]))
