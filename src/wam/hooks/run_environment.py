"""Before any work: pages that do not fit together, inputs nobody made, places already taken stop the run."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.validation import ParameterValidationError

from wam.contracts import config_from_dict
from wam.datasets import ArtefactDataset, DirectoryDataset
from wam.hooks.parameters import WrongParametersError
from wam.hooks.refusal import RunRefusedError
from wam.pipeline_registry import register_pipelines
from wam.pipelines.grid import STAGES
from wam.pipelines.page_checks import check_pages, check_play
from wam.sim.play_config import PlayConfig
from wam.tasks.selection import SelectionConfig

Page = TypeVar("Page")


class MissingInputsError(RunRefusedError):
    """The run reads what does not exist yet."""


class OutputInTheWayError(RunRefusedError):
    """The run would end with an artefact that cannot be saved."""


class RunEnvironmentHooks:
    """Checks that cost nothing and spare a run that would fail late or ignore a setting."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse pages that do not fit together, whichever pipeline is to run.

        Raises:
            WrongParametersError: Naming the parameters.
        """
        try:
            check_pages(context.params)
        except (ParameterValidationError, ValueError) as error:
            raise WrongParametersError(str(error)) from error

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Refuse a run whose inputs are not there, whose outputs cannot be saved, or that plays too little.

        Raises:
            WrongParametersError: Naming what is selected and what is played.
            MissingInputsError: Naming them and the pipeline to run first.
            OutputInTheWayError: Naming the node and what is in its way.
        """
        missing = sorted(name for name in pipeline.inputs() if not _is_there(catalog, name))
        for name in missing:
            if place := _given(catalog, name):
                raise MissingInputsError(
                    f"{name} is to be a data set of yours, and there is none at {place}: put or link it "
                    "there, or say in the catalog of this environment where it is"
                )
        if missing:
            stages = stages_to_run(
                missing, lambda name: _is_there(catalog, name) or bool(_given(catalog, name))
            )
            raise MissingInputsError(_how_to_make(missing, stages, run_params.get("env")))
        if any("params:play" in node.inputs for node in pipeline.nodes):  # not where episodes are the user's
            try:
                check_play(_page(catalog, SelectionConfig, "selection"), _page(catalog, PlayConfig, "play"))
            except ValueError as error:
                raise WrongParametersError(str(error)) from error
        for node in pipeline.nodes:
            skipped = run_params.get("only_missing_outputs") and all(map(catalog.exists, node.outputs))
            obstacle = None if skipped else _obstacle(catalog, node.outputs)
            if obstacle:
                raise OutputInTheWayError(f"{node.name} could not save its work: {obstacle}")


def _page(catalog: DataCatalog, kind: type[Page], name: str) -> Page:
    """A page by name; Kedro types those that the run's own nodes read, others are plain values."""
    page = catalog.load(f"params:{name}")
    return page if isinstance(page, kind) else config_from_dict(kind, page)


def _obstacle(catalog: DataCatalog, outputs: Iterable[str]) -> str | None:
    datasets = (catalog.get(name) for name in outputs)
    found = (dataset.obstacle() for dataset in datasets if isinstance(dataset, ArtefactDataset))
    return next((obstacle for obstacle in found if obstacle), None)


def _is_there(catalog: DataCatalog, name: str) -> bool:
    if name.startswith("params:") or name == "parameters":
        return True
    dataset = catalog.get(name)
    if dataset is None:
        return False
    return bool(getattr(dataset, "optional", False) or dataset.exists())


def _given(catalog: DataCatalog, name: str) -> Path | None:
    """Where an artefact is a folder that the user brings."""
    dataset = catalog.get(name)
    return dataset.given if isinstance(dataset, DirectoryDataset) else None


def stages_to_run(missing: Iterable[str], is_there: Callable[[str], bool]) -> list[str]:
    """The stages that make what is missing, and what they are missing themselves, in order.

    Args:
        missing: Names of artefacts.
        is_there: Whether an artefact exists.
    """
    pipelines, wanted, stages = register_pipelines(), set(missing), []
    for stage in reversed(STAGES):
        if wanted & pipelines[stage].all_outputs():
            stages.append(stage)
            wanted |= {name for name in pipelines[stage].inputs() if not is_there(name)}
    return stages[::-1]


def _how_to_make(missing: Sequence[str], stages: Sequence[str], env: str | None) -> str:
    shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
    if not stages:
        return (
            f"{shown} must exist before this run, and no pipeline makes it: conf/*/catalog_*.yml says where"
        )
    command = f"kedro run --pipelines {','.join(stages)}" + (f" --env {env}" if env else "")
    return f"{shown} must exist before this run. Make it first:\n  {command}"
