"""Before anything else: every parameter is read by some node, and pages hold what they allow."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from reprlib import repr as shortened
from typing import Any, Final, get_args, get_type_hints

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.validation.type_extractor import TypeExtractor
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from wam.contracts import dotted, merged, suggestion
from wam.hooks.refusal import RunRefusedError
from wam.pipeline_registry import register_pipelines
from wam.world_model.config import WorldModelConfig
from wam.world_model.training_config import WorldModelTrainingConfig

CONFIGURED: Final = ("__default__", "ablation", "online")
"""Pipelines that together read every page."""
RUN_OPTIONS: Final = frozenset({"data_root", "mlflow_uri", "mlflow_artifacts", "mlflow_run_id", "run_name"})
"""Runtime parameters that configuration files read through ``runtime_params`` instead of a node."""
ROW_PAGES: Final = {"world_model": WorldModelConfig, "world_model_training": WorldModelTrainingConfig}
"""Pages of which rows of the table of world models may have settings of their own."""
_UNKNOWN: Final = ("unexpected_keyword_argument", "extra_forbidden")
"""What pydantic calls a key that a page does not have."""


class WrongParametersError(RunRefusedError):
    """A parameter has no reader, a wrong type or value, or does not fit another one."""


class ParameterHooks:
    """Says what is wrong with parameters in the words of the pages; Kedro checks later, in its own."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse parameters that no node reads, and those that their page does not allow.

        All pages are checked, whichever pipeline is to run: a mistyped name is never silently without effect.

        Raises:
            WrongParametersError: Naming them, what they are, and what was perhaps meant.
        """
        values = context.config_loader["parameters"]
        registered = {one: register_pipelines()[one] for one in CONFIGURED}
        read = {name for one in registered.values() for name in one.inputs()}
        pages = {name.removeprefix("params:") for name in read if name.startswith("params:")}
        unknown = sorted(unread(values, pages))
        if unknown:
            known = sorted({*pages, *(page.split(".")[0] for page in pages)})
            hints = "\n".join(f"  {name}{suggestion(name, known)}" for name in unknown)
            raise WrongParametersError(f"nothing reads these parameters:\n{hints}")
        types = TypeExtractor(registered).extract_types_from_pipelines()
        wrong = "\n".join(f"  {line}" for line in [*faults(values, types), *row_faults(values)])
        if wrong:
            raise WrongParametersError(f"wrong in conf/*/parameters_*.yml or --params:\n{wrong}")

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Refuse tags that no node has: beside one that there is, Kedro passes over them.

        Raises:
            RunRefusedError: Naming the first, and what was perhaps meant.
        """
        chosen = run_params.get("pipeline_names") or ["__default__"]
        known = {tag for name in chosen for node in pipelines[name].nodes for tag in node.tags}
        for tag in run_params.get("tags") or ():
            if tag not in known:
                raise RunRefusedError(f"there is no tag {tag!r}{suggestion(tag, sorted(known))}")


def faults(values: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[str]:
    """A line for every setting that its page does not have or does not allow.

    Args:
        values: Nested values as configured.
        types: Type of each page by its dotted name; a page that is not configured is passed over.
    """
    for name, page in types.items():
        value: Any = values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            continue
        try:
            TypeAdapter(page).validate_python(value)
        except ValidationError as found:
            yield from (_fault(name, page, error) for error in found.errors(include_url=False))


def row_faults(values: Mapping[str, Any]) -> Iterator[str]:
    """A line for every setting of a row of the table of world models that its page does not have or allow."""
    for name, row in (values.get("world_models") or {}).items():
        for page_name, page in ROW_PAGES.items():
            own = row.get(page_name) if isinstance(row, Mapping) else None
            if not isinstance(own, Mapping):
                continue  # nothing of its own, or no mapping: the row's own type says so
            try:
                base = values.get(page_name)
                TypeAdapter(page).validate_python(merged(base if isinstance(base, Mapping) else {}, own))
            except ValidationError as found:
                where = f"world_models.{name}.{page_name}"
                errors = found.errors(include_url=False)
                yield from (_fault(where, page, error) for error in errors if _lies_in(error, own))


def _lies_in(error: ErrorDetails, own: Mapping[str, Any]) -> bool:
    """Whether a fault is about one of these settings; what fits no single one may be due to them."""
    where = ".".join(str(part) for part in error["loc"])
    return not where or any(f"{where}.".startswith(f"{one}.") for one, _ in dotted(own))


def in_words(error: ValueError) -> str:
    """What a page refused, in the words of the pages; any other error's own words."""
    if not isinstance(error, ValidationError):
        return str(error)
    name = next((one for one, page in ROW_PAGES.items() if page.__name__ == error.title), error.title)
    page = ROW_PAGES.get(name)
    return "; ".join(_fault(name, page, one) for one in error.errors(include_url=False))


def _fault(name: str, page: Any, error: ErrorDetails) -> str:
    where = [str(part) for part in error["loc"]]
    value = error["input"]
    shown = "" if isinstance(value, Mapping) else f" = {shortened(value)}"
    setting = ".".join([name, *where])
    if error["type"] in _UNKNOWN:
        hint = suggestion(where[-1], _settings(page, where[:-1]))
        return f"{setting}{shown}: there is no such setting{hint}"
    return f"{setting}{shown}: {error['msg'].removeprefix('Value error, ')}"


def _settings(page: Any, where: Iterable[str]) -> list[str]:
    """Names of the settings at a place of a page, as far as types tell."""
    for part in where:
        if is_dataclass(page):  # else, or where it has no such field: a key of a mapping, a kind of a union
            page = get_type_hints(page).get(part, page)
        page = next((one for one in (page, *get_args(page)) if is_dataclass(one)), page)
    return [field.name for field in fields(page)] if is_dataclass(page) else []


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
