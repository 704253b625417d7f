"""Curves and figures reach the run of their own cell, also when cells run side by side."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import AbstractRunner, SequentialRunner

from wam.hooks import MlflowCellHooks
from wam.runner import ConcurrentRunner
from wam.training import metrics

pytestmark = pytest.mark.slow  # MLflow sets up a database first
CELLS = ("wam.open_drawer", "diwa.open_drawer", "wam.turn_on_led")
STEPS = 5


def publish_own(number: int) -> dict[str, float]:
    """A stand-in for a training: its figures say which one it is."""
    for step in range(STEPS):
        metrics.publish({"loss": float(number)}, step)
        time.sleep(0.01)
    return {"final": float(number)}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    yield mlflow.create_experiment("cells", artifact_location=str(folder / "artifacts"))
    mlflow.set_tracking_uri(before)


@pytest.fixture
def run(experiment: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``run(runner, nodes)``: what MLflow holds afterwards, by name of the child run."""

    def run_one(runner: AbstractRunner, nodes: list[Node]) -> dict[str, Any]:
        catalog = DataCatalog.from_config(_page(tmp_path, nodes), save_version="v1")
        for number, cell in enumerate(CELLS):
            catalog[f"params:{cell}.number"] = number
        manager, hooks = _create_hook_manager(), MlflowCellHooks()
        manager.register(hooks)
        hooks.after_catalog_created(catalog)
        failure = None
        with mlflow.start_run(experiment_id=experiment) as parent:
            hooks.before_pipeline_run()
            try:
                runner.run(Pipeline(nodes), catalog, hook_manager=manager)
                hooks.after_pipeline_run()
            except ZeroDivisionError as error:
                failure = error
                hooks.on_pipeline_error()
        children = mlflow.MlflowClient().search_runs(
            [experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
        )
        return {"failure": failure, "children": children}

    return run_one


def _page(folder: Path, nodes: list[Node]) -> dict[str, Any]:
    return {
        output: {
            "type": "wam.datasets.JsonDataset",
            "filepath": str(folder / output),
            "versioned": True,
            "metadata": {"mlflow": {"log": "metrics"}},
        }
        for node in nodes
        for output in node.outputs
    }


def cell_node(cell: str, stage: str, function: Callable[[int], Any] = publish_own) -> Node:
    return Node(function, f"params:{cell}.number", f"{cell}.{stage}_metrics", name=stage, namespace=cell)


@pytest.mark.parametrize(
    "runner", [SequentialRunner(), ConcurrentRunner(max_workers=3)], ids=["one", "three"]
)
def test_each_cell_gets_its_own_curves(run: Callable[..., Any], runner: AbstractRunner) -> None:
    found = run(runner, [cell_node(cell, stage) for cell in CELLS for stage in ("clone", "judge")])
    children = {child.info.run_name: child for child in found["children"]}
    assert len(found["children"]) == len(CELLS)
    client = mlflow.MlflowClient()
    for number, cell in enumerate(CELLS):
        child = children[cell]
        assert child.info.status == "FINISHED"
        assert child.data.tags["task"] == cell.split(".")[1]
        for stage in ("clone", "judge"):
            curve = client.get_metric_history(child.info.run_id, f"{stage}/loss")
            assert [(point.step, point.value) for point in curve] == [(k, number) for k in range(STEPS)]
            assert child.data.metrics[f"{stage}_metrics/final"] == number
        assert child.data.params == {"number": str(number)}


def test_a_failure_closes_every_child_as_failed(run: Callable[..., Any]) -> None:
    begun = threading.Event()

    def wait_for_it(number: int) -> dict[str, float]:
        begun.set()
        return publish_own(number)

    def fail(_: int) -> dict[str, float]:
        begun.wait(20)
        raise ZeroDivisionError("the node's own")

    nodes = [cell_node(CELLS[0], "clone", wait_for_it), cell_node(CELLS[1], "clone", fail)]
    found = run(ConcurrentRunner(max_workers=2), nodes)
    assert str(found["failure"]) == "the node's own"
    assert {child.info.run_name: child.info.status for child in found["children"]} == dict.fromkeys(
        CELLS[:2], "FAILED"
    )
    metrics.publish({"loss": 1.0}, 99)  # nobody listens any more
