"""Commands of the project: ``kedro run`` with several nodes at once, ``kedro prune`` for old versions."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click
from kedro.config import OmegaConfigLoader
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS, _split_params, split_string
from kedro.framework.project import pipelines, settings
from kedro.io import DatasetError
from kedro.utils import find_kedro_project

from wam.contracts import InputError, suggestion
from wam.pipeline_registry import NAMES

_NOTHING_FOUND: Final = (
    "Pipeline does not contain nodes",
    "Pipeline contains no nodes after applying all provided filters",
)
"""How Kedro's messages begin where a filter leaves nothing."""
_KINDS: Final = {"namespaces": "namespace", "tags": "tag"} | dict.fromkeys(
    ("node_names", "from_nodes", "to_nodes"), "node"
)
"""What each option of ``kedro run`` that picks nodes names."""


@click.group(context_settings=CONTEXT_SETTINGS, name="wam")
def cli() -> None:
    """Commands of this project, found by Kedro; they replace Kedro's of the same name."""


@cli.command(name="run", params=kedro_run.params, help=kedro_run.help)
def run(**options: Any) -> Any:
    """Run as Kedro does; ``concurrent_nodes`` of ``globals.yml`` says how many nodes at once."""
    _refuse_unknown_names(options)
    if not options["runner"] and not options["is_async"]:
        nodes = concurrent_nodes(options["conf_source"], options["env"])
        if nodes > 1:
            options["runner"] = "wam.runner.ConcurrentRunner"
            page = {"max_workers": nodes, "companions": companions(options["conf_source"], options["env"])}
            options["runner_params"] = page | options["runner_params"]
    if (options["pipelines"] or [options["pipeline"]]) == ["ablation"]:
        options["only_missing_outputs"] = True  # a night's work is not repeated by typing its command again
    assert kedro_run.callback is not None
    try:
        return kedro_run.callback(**options)
    except (ValueError, DatasetError) as error:
        cause = error if isinstance(error, InputError) else error.__cause__  # Kedro wraps what loading raises
        told = str(cause) if isinstance(cause, InputError) else _unknown_filter(options, error)
        if told is None:
            raise
        # its message says all; where in the code it was found helps nobody
        raise click.ClickException(told) from error


def _refuse_unknown_names(options: dict[str, Any]) -> None:
    _refuse_environment(options["conf_source"], options["env"])
    _refuse("pipeline", _chosen(options), NAMES)


def _chosen(options: Mapping[str, Any]) -> list[str]:
    return options["pipelines"] or [options["pipeline"] or "__default__"]


def _unknown_filter(options: Mapping[str, Any], error: Exception) -> str | None:
    """What a run asked for that its pipelines do not have; None for any other error.

    Kedro found it first, when the rows of the ablation were known: they are read with the parameters.
    """
    if not str(error).startswith(_NOTHING_FOUND):
        return None
    nodes = [node for name in _chosen(options) for node in pipelines[name].nodes]
    spaces = {node.namespace or "" for node in nodes}
    names = {node.name for node in nodes}
    known = {
        "namespaces": spaces | {space.split(".")[0] for space in spaces} - {""},
        "tags": {tag for node in nodes for tag in node.tags},
        **dict.fromkeys(("node_names", "from_nodes", "to_nodes"), names),
    }
    for kind, has in known.items():
        for name in options[kind] or ():
            if name not in has:
                return f"there is no {_KINDS[kind]} {name!r}{suggestion(name, sorted(has - {''}))}"
    return None


def _refuse_environment(conf_source: str | None, env: str | None) -> None:
    root = find_kedro_project(Path.cwd()) or Path.cwd()
    conf, chosen = Path(conf_source or root / settings.CONF_SOURCE), env or os.environ.get("KEDRO_ENV")
    if chosen and conf.is_dir():
        _refuse("environment", [chosen], sorted(one.name for one in conf.iterdir() if one.is_dir()))


def _refuse(kind: str, given: Iterable[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise click.ClickException(f"there is no {kind} {name!r}{suggestion(name, known)}")


def concurrent_nodes(conf_source: str | None, env: str | None) -> int:
    """How many nodes run at once in an environment.

    Args:
        conf_source: Folder of the configuration; the project's by default.
        env: Name of the environment; that of ``KEDRO_ENV``, else Kedro's default.

    Raises:
        click.ClickException: If it is not a whole number above 0.
    """
    nodes = _globals(conf_source, env).get("concurrent_nodes", 1)
    if type(nodes) is not int or nodes < 1:  # a bool is no number here
        raise click.ClickException(
            f"concurrent_nodes in globals.yml is {nodes!r}; it must be a whole number above 0"
        )
    return nodes


def companions(conf_source: str | None, env: str | None) -> bool:
    """Whether nodes of many small steps have a process beside their thread in an environment.

    Args:
        conf_source: As :func:`concurrent_nodes`.
        env: As there.

    Raises:
        click.ClickException: If it is neither true nor false.
    """
    chosen = _globals(conf_source, env).get("companions", False)
    if not isinstance(chosen, bool):
        raise click.ClickException(f"companions in globals.yml is {chosen!r}; it must be true or false")
    return chosen


@cli.command(name="prune")
@click.option("--env", "-e", default=None, help="Environment whose data is pruned; base by default.")
@click.option(
    "--keep", default=2, show_default=True, type=click.IntRange(min=1), help="Latest versions kept."
)
@click.option("--data-root", default=None, help="Another folder than the environment's own.")
@click.option("--delete", is_flag=True, help="Delete what is listed; without it nothing is changed.")
def prune(env: str | None, keep: int, data_root: str | None, delete: bool) -> None:
    """List (or delete) old versions: not the latest ones, nothing that one of those was made from."""
    from wam.datasets.prune import leftovers, prunable, remove, stored_versions  # noqa: PLC0415 - with arrays and models

    _refuse_environment(None, env)
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    root = project / (data_root or _globals(None, env)["data_root"])
    old = prunable(stored_versions(root), keep=keep)
    for version in old:
        click.echo(f"{version.size / 1e6:10.1f} MB  {version.folder.relative_to(root)}")
        if delete:
            remove(version)
    for folder in leftovers(root):
        click.echo(f"{folder.relative_to(root)}: left by a killed run; remove it if none is going on")
    total = f"{len(old)} versions, {sum(version.size for version in old) / 1e6:.1f} MB, in {root}"
    click.echo(f"{total}: deleted" if delete else f"{total}: would be deleted; --delete does it")


@cli.command(name="pack")
@click.argument("job", type=click.Path(path_type=Path, file_okay=False))
@click.option("--env", "-e", default=None, help="Environment whose settings and episodes count.")
@click.option("--pipelines", "-p", "names", default="world_model", show_default=True, callback=split_string)
@click.option("--tags", "-t", default="", callback=split_string, help="Only trainings with one of these.")
@click.option("--namespaces", "-ns", default="", callback=split_string, help="Only these cells.")
@click.option("--params", default="", callback=_split_params, help="As of kedro run.")
@click.option("--most-mib", default=45.0, show_default=True, help="Of the episodes' file.")
def pack(  # noqa: PLR0917 - Click names them all
    job: Path,
    env: str | None,
    names: list[str],
    tags: list[str],
    namespaces: list[str],
    params: dict[str, Any],
    most_mib: float,
) -> None:
    """Write trainings of world models into JOB, for another machine to do (docs/clusters.md)."""
    _refuse_environment(None, env)
    _refuse("pipeline", names, NAMES)
    from wam.packing import pack as pack_job  # noqa: PLC0415 - with the whole library

    project = find_kedro_project(Path.cwd()) or Path.cwd()
    try:
        packed = pack_job(
            project,
            job,
            env=env,
            names=names,
            tags=tags,
            namespaces=namespaces,
            parameters=params,
            most_mib=most_mib,
        )
    except (InputError, DatasetError) as error:
        cause = error if isinstance(error, InputError) else error.__cause__
        missing = f"{error}\nMake the episodes first: kedro run --pipelines play,ingest"
        raise click.ClickException(str(cause) if isinstance(cause, InputError) else missing) from error
    size = sum(path.stat().st_size for path in job.iterdir()) / 2**20
    click.echo(f"{', '.join(packed)}: {size:.1f} MiB in {job}")


def _globals(conf_source: str | None, env: str | None) -> Any:
    """The page ``globals.yml`` as it holds in an environment."""
    root = find_kedro_project(Path.cwd()) or Path.cwd()
    loader = OmegaConfigLoader(
        conf_source or str(root / settings.CONF_SOURCE),
        env=env or os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    return loader["globals"]
