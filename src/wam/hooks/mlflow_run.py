"""One ``kedro run`` is one MLflow run: kedro-mlflow's life cycle, with parameters and lineage of our own.

kedro-mlflow logs a configuration page as its ``repr``; here each of its values becomes one parameter.
Lineage is logged by reference (name, version, path, digest); nothing is copied into MLflow.
"""

import atexit
import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.entities import Dataset, DatasetInput, Param

from wam.contracts import dotted
from wam.datasets import ArtefactDataset
from wam.hooks.mlflow_killed import PROCESS, end_killed_runs, this_process
from wam.hooks.provenance import code_version
from wam.pipelines.ablation.pipeline import PAGES

_PARAMETERS_PER_BATCH: Final = 100
"""Limit of MLflow's ``log_batch``."""


def log_parameters(run_id: str, values: Mapping[str, Any]) -> None:
    """Log flat parameters to a run, in as few writes as MLflow allows."""
    params = [Param(name, str(value)[:6000]) for name, value in values.items()]
    for start in range(0, len(params), _PARAMETERS_PER_BATCH):
        mlflow.MlflowClient().log_batch(run_id, params=params[start : start + _PARAMETERS_PER_BATCH])


def runner_name(described: str) -> str:
    """The class of a runner, of which Kedro also tells the address in memory."""
    return re.sub(r"^<(\S+) object at \w+>$", r"\1", described)


def lineage_entry(catalog: DataCatalog, name: str) -> dict[str, str] | None:
    """Version, path and digest of an artefact, ``None`` for what has no record."""
    dataset = catalog.get(name)
    if not isinstance(dataset, ArtefactDataset) or not dataset.record():
        return None
    return {
        "version": str(dataset.resolve_load_version()),
        "path": str(dataset.location()),
        "digest": dataset.record()["digest"],
    }


def dataset_inputs(entries: Mapping[str, Mapping[str, str]]) -> list[DatasetInput]:
    """Lineage entries as MLflow's inputs of a run: references, nothing is copied."""
    return [
        DatasetInput(
            Dataset(name[:500], entry["digest"], "kedro_catalog", json.dumps({"uri": entry["path"]}))
        )
        for name, entry in entries.items()
    ]


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process of this machine is in such a block of a folder; one that dies leaves it.

    The lock is a file among temporary ones: a folder may lie where none can be had, on NFS for example.
    """
    name = sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with (Path(gettempdir()) / f"wam-mlflow-{os.getuid()}-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class MlflowRunHooks(MlflowHook):  # type: ignore[misc]
    """The parent run: started, tagged, given flat parameters and lineage, and ended."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Set up tracking as ``mlflow.yml`` says, and keep the configured parameters."""
        with _alone_in(Path(context.project_path)):  # or two first runs make one database twice, and one dies
            super().after_context_created(context)
        pages = {name: page for name, page in context.config_loader["parameters"].items() if name != PAGES}
        self._parameters = dict(dotted(pages))
        self._project_path = Path(context.project_path)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Start the run, end those that were killed; log every parameter once and what code ran."""
        self._lineage: dict[str, dict[str, dict[str, str]]] = {"inputs": {}, "outputs": {}}
        self._catalog = catalog
        super().before_pipeline_run(run_params, pipeline, catalog)
        if self.run_id is not None:
            log_parameters(self.run_id, self._parameters)
            code = {f"code.{key}": value for key, value in code_version(self._project_path).items()}
            command = " ".join(sys.argv)[:5000]
            runner = runner_name(str(run_params.get("runner")))
            mlflow.set_tags({**code, "command": command, "runner": runner, PROCESS: this_process()})
            atexit.register(self._mark_killed)
            client = mlflow.MlflowClient()
            end_killed_runs(client, client.get_run(self.run_id).info.experiment_id)

    @hook_impl
    def before_node_run(self, catalog: DataCatalog, inputs: dict[str, Any]) -> None:
        """Note the lineage of what the node reads; parameters are logged already, and by run id.

        The plugin would make the run active in the node's thread too, with a write for every node.
        """
        self._note(catalog, "inputs", [name for name in inputs if not name.startswith("params:")])

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note what this run made: what it skipped, or never came to, has older versions."""
        self._note(self._catalog, "outputs", [dataset_name])

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Log the lineage and end the run."""
        atexit.unregister(self._mark_killed)
        self._log_lineage(pipeline)
        super().after_pipeline_run(run_params, pipeline, catalog)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Log what was done so far and mark the run as failed."""
        atexit.unregister(self._mark_killed)
        self._log_lineage(pipeline)
        super().on_pipeline_error(error, run_params, pipeline, catalog)

    def _mark_killed(self) -> None:
        """For Ctrl-C, which is no error to Kedro's own runners: they call no hook."""
        mlflow.end_run("KILLED")

    def _note(self, catalog: DataCatalog, direction: str, names: list[str]) -> None:
        for name in names:
            entry = lineage_entry(catalog, name)
            if entry:
                self._lineage[direction][name] = entry

    def _log_lineage(self, pipeline: Pipeline) -> None:
        if self.run_id is None:
            return
        client = mlflow.MlflowClient()
        client.log_dict(self.run_id, self._lineage, "lineage.json")
        free = {name: entry for name, entry in self._lineage["inputs"].items() if name in pipeline.inputs()}
        if free:
            client.log_inputs(self.run_id, dataset_inputs(free))
