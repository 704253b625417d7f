"""One MLflow child run for each ``{world_model}.{task}`` cell, comparable column by column.

Names of metrics and parameters carry no grid coordinates, so all cells share their columns. Live curves
arrive while a node trains; final figures come from entries marked ``metadata: {mlflow: {log: metrics}}``.
What belongs to a world model as a whole goes to the parent run, prefixed with its name.

Nodes may run side by side in threads. MLflow's active run belongs to one thread, so everything here is logged
by run id; what a node listens to is kept under its name.
"""

import atexit
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import mlflow
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline.node import Node
from mlflow.entities import Metric, RunInfo

from wam.contracts import dotted
from wam.hooks.mlflow_killed import PROCESS, this_process
from wam.hooks.mlflow_run import lineage_entry, log_parameters
from wam.hooks.provenance import plain
from wam.pipelines.grid import cell_of
from wam.training import metrics


class MlflowCellHooks:
    """Opens, feeds and closes the child runs of the cells that run."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._reset()

    def _reset(self) -> None:
        self._children: dict[tuple[str, str], str] = {}
        self._parameters: dict[tuple[str, str], dict[str, Any]] = {}
        self._lineage: dict[tuple[str, str], dict[str, Any]] = {}
        self._unsubscribe: dict[str, Callable[[], None]] = {}
        self._parent: RunInfo | None = None

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        """Forget the last run of this process."""
        self._reset()
        self._catalog = catalog

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Remember the parent run, which only this thread knows as active."""
        parent = mlflow.active_run()
        self._parent = parent.info if parent else None
        atexit.register(self._mark_killed)  # as in mlflow_run

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Open the cell's run, log its parameters, and listen to the curves of the node."""
        if self._parent is None:
            return
        cell = cell_of(node.namespace)
        run_id, prefix = self._parent.run_id, f"{node.namespace}/" if node.namespace else ""
        if cell is not None:
            entries = self._entries([name for name in inputs if not name.startswith("params:")])
            with self._guard:  # two nodes of one cell may start together
                run_id, prefix = self._child(self._parent, cell), ""
                self._log_parameters(cell, inputs)
                self._lineage[cell]["inputs"].update(entries)
        stage = _stage(node)
        self._unsubscribe[node.name] = metrics.subscribe(
            lambda values, step: _log(
                run_id, {f"{prefix}{stage}/{key}": v for key, v in values.items()}, step
            )
        )

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Stop listening."""
        self._stop_listening(node.name)

    @hook_impl
    def on_node_error(self, node: Node) -> None:
        """Stop listening."""
        self._stop_listening(node.name)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Log final figures of entries that ask for it."""
        if self._parent is None:
            return
        cell = cell_of(node.namespace)
        if cell is not None:
            entries = self._entries([dataset_name])
            with self._guard:
                self._lineage[cell]["outputs"].update(entries)
        metadata = getattr(self._catalog.get(dataset_name), "metadata", None) or {}
        if metadata.get("mlflow", {}).get("log") == "metrics":
            run_id = self._parent.run_id if cell is None else self._children[cell]
            stem = dataset_name.rsplit(".", 1)[-1]
            prefix = stem if cell else f"{node.namespace}/{stem}" if node.namespace else stem
            _log(run_id, {f"{prefix}/{key}": value for key, value in dotted(data)}, 0)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Close the cells' runs."""
        self._close("FINISHED")

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Close the cells' runs as failed."""
        self._close("FAILED")

    def _mark_killed(self) -> None:
        self._close("KILLED")

    def _child(self, parent: RunInfo, cell: tuple[str, str]) -> str:
        if cell not in self._children:
            world_model, task = cell
            tags = {"mlflow.parentRunId": parent.run_id, "world_model": world_model, "task": task}
            tags[PROCESS] = this_process()
            client = mlflow.MlflowClient()
            found = client.search_runs(
                [parent.experiment_id],
                f"tags.mlflow.parentRunId = '{parent.run_id}' and run_name = '{world_model}.{task}'",
                max_results=1,
            )
            run = (
                found[0]
                if found
                else client.create_run(parent.experiment_id, run_name=f"{world_model}.{task}", tags=tags)
            )
            self._children[cell] = run.info.run_id
            self._parameters[cell] = {}
            self._lineage[cell] = {"inputs": {}, "outputs": {}}
        return self._children[cell]

    def _log_parameters(self, cell: tuple[str, str], inputs: Mapping[str, Any]) -> None:
        pages = {name: plain(value) for name, value in inputs.items() if name.startswith("params:")}
        flat = dict(dotted({_column(name, cell): value for name, value in pages.items()}))
        new = {name: value for name, value in flat.items() if name not in self._parameters[cell]}
        log_parameters(self._children[cell], new)
        self._parameters[cell].update(new)

    def _entries(self, names: list[str]) -> dict[str, dict[str, str]]:
        entries = {name: lineage_entry(self._catalog, name) for name in names}
        return {name: entry for name, entry in entries.items() if entry}

    def _stop_listening(self, node: str) -> None:
        unsubscribe = self._unsubscribe.pop(node, None)
        if unsubscribe is not None:
            unsubscribe()

    def _close(self, status: str) -> None:
        atexit.unregister(self._mark_killed)
        for node in list(self._unsubscribe):
            self._stop_listening(node)
        client = mlflow.MlflowClient()
        for cell, run_id in self._children.items():
            client.log_dict(run_id, self._lineage[cell], "lineage.json")
            client.set_terminated(run_id, status)
        self._reset()


def _stage(node: Node) -> str:
    return str(node.short_name).rsplit(".", 1)[-1]


def _column(name: str, cell: tuple[str, str]) -> str:
    parts = name.removeprefix("params:").split(".")
    return ".".join(part for part in parts if part not in cell)


def _log(run_id: str, values: Mapping[str, Any], step: int) -> None:
    now = int(1000 * time.time())
    logged = [Metric(key, float(value), now, step) for key, value in values.items() if _is_number(value)]
    if logged:
        mlflow.MlflowClient().log_batch(run_id, metrics=logged)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
