"""The project's own ``kedro run``: Kedro's command, with several nodes at once unless a runner is named."""

import os
from pathlib import Path
from typing import Any

import click
from kedro.config import OmegaConfigLoader
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.framework.project import settings
from kedro.utils import find_kedro_project


@click.group(context_settings=CONTEXT_SETTINGS, name="wam")
def cli() -> None:
    """Commands of this project, found by Kedro; they replace Kedro's of the same name."""


@cli.command(name="run", params=kedro_run.params, help=kedro_run.help)
def run(**options: Any) -> Any:
    """Run as Kedro does; ``concurrent_nodes`` of ``globals.yml`` says how many nodes at once."""
    if not options["runner"] and not options["is_async"]:
        nodes = concurrent_nodes(options["conf_source"], options["env"])
        if nodes > 1:
            options["runner"] = "wam.runner.ConcurrentRunner"
            options["runner_params"] = {"max_workers": nodes, **options["runner_params"]}
    assert kedro_run.callback is not None
    return kedro_run.callback(**options)


def concurrent_nodes(conf_source: str | None, env: str | None) -> int:
    """How many nodes run at once in an environment.

    Args:
        conf_source: Folder of the configuration; the project's by default.
        env: Name of the environment; that of ``KEDRO_ENV``, else Kedro's default.

    Raises:
        click.ClickException: If it is not a whole number above 0.
    """
    root = find_kedro_project(Path.cwd()) or Path.cwd()
    loader = OmegaConfigLoader(
        conf_source or str(root / settings.CONF_SOURCE),
        env=env or os.environ.get("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    nodes = loader["globals"].get("concurrent_nodes", 1)
    if type(nodes) is not int or nodes < 1:  # a bool is no number here
        raise click.ClickException(
            f"concurrent_nodes in globals.yml is {nodes!r}; it must be a whole number above 0"
        )
    return nodes
