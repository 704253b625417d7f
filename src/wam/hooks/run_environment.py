"""Before any work: parameters nobody reads, inputs nobody made, places already taken stop the run."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.validation import ParameterValidationError

from wam.datasets import ArtefactDataset
from wam.hooks.refusal import RunRefusedError
from wam.pipeline_registry import register_pipelines
from wam.pipelines.ablation.pipeline import PAGES
from wam.pipelines.grid import STAGES
from wam.pipelines.page_checks import check_pages

CONFIGURED: Final = ("__default__", "ablation", "online")
"""Pipelines that together read every page."""
RUN_OPTIONS: Final = frozenset({"data_root", "mlflow_uri", "mlflow_artifacts", "mlflow_run_id", "run_name"})
"""Runtime parameters that configuration files read through ``runtime_params`` instead of a node."""


class MissingInputsError(RunRefusedError):
    """The run reads what does not exist yet."""


class OutputInTheWayError(RunRefusedError):
    """The run would end with an artefact that cannot be saved."""


class WrongParametersError(RunRefusedError):
    """A parameter has no reader, a wrong type or value, or does not fit another one."""


class RunEnvironmentHooks:
    """Checks that cost nothing and spare a run that would fail late or ignore a setting."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse parameters that no node reads, and pages that are wrong or do not fit together.

        All pages are checked, whichever pipeline is to run: a mistyped name is never silently without effect.

        Raises:
            WrongParametersError: Naming the parameters.
        """
        read = {name for one in CONFIGURED for name in register_pipelines()[one].inputs()}
        pages = {name.removeprefix("params:") for name in read} | {PAGES}
        unknown = sorted(unread(context.config_loader["parameters"], pages))
        if unknown:
            hints = "\n".join(f"  {name}{_suggestion(name, pages)}" for name in unknown)
            raise WrongParametersError(f"nothing reads these parameters:\n{hints}")
        try:
            check_pages(context.params)
        except (ParameterValidationError, ValueError) as error:
            raise WrongParametersError(str(error)) from error

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Refuse a run whose inputs were not made yet, or whose outputs cannot be saved.

        Raises:
            MissingInputsError: Naming them and the pipeline to run first.
            OutputInTheWayError: Naming the node and what is in its way.
        """
        missing = sorted(name for name in pipeline.inputs() if not _is_there(catalog, name))
        if missing:
            stages = stages_to_run(missing, lambda name: _is_there(catalog, name))
            raise MissingInputsError(_how_to_make(missing, stages, run_params.get("env")))
        for node in pipeline.nodes:
            skipped = run_params.get("only_missing_outputs") and all(map(catalog.exists, node.outputs))
            obstacle = None if skipped else _obstacle(catalog, node.outputs)
            if obstacle:
                raise OutputInTheWayError(f"{node.name} could not save its work: {obstacle}")


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


def unread(parameters: Mapping[str, Any], pages: Collection[str]) -> Iterator[str]:
    """Dotted names of parameters below no page.

    Args:
        parameters: Nested values as configured.
        pages: Dotted names that nodes read; everything below one of them belongs to its page.
    """
    yield from _unread(parameters, "", pages)


def _unread(values: Mapping[str, Any], prefix: str, pages: Collection[str]) -> Iterator[str]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in pages or name in RUN_OPTIONS:
            continue
        if isinstance(value, Mapping) and any(page.startswith(f"{name}.") for page in pages):
            yield from _unread(value, f"{name}.", pages)
        else:
            yield name


def _suggestion(name: str, pages: Collection[str]) -> str:
    known = {*pages, *(page.split(".")[0] for page in pages)}
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(sorted(known))})"
