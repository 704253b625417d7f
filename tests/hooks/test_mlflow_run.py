"""How a run ends in MLflow."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.framework.session.session import _create_hook_manager as _manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from mlflow import MlflowClient

from wam.hooks import MlflowRunHooks
from wam.hooks.mlflow_killed import PROCESS, end_killed_runs, this_process
from wam.hooks.mlflow_run import runner_name
from wam.runner import ConcurrentRunner

ROOT = Path(__file__).parents[2]


def keep(value: dict[str, int]) -> dict[str, int]:
    """A node's work."""
    return value


def test_lineage_names_what_the_run_saved_and_nothing_older(tmp_path: Path) -> None:
    """Of three nodes the second fails: what it and the third made in an earlier run is not this run's."""
    names = ("data", "first", "second", "third")
    entry = {"type": "wam.datasets.JsonDataset", "versioned": True}
    page = {name: {**entry, "filepath": str(tmp_path / name)} for name in names}
    old = DataCatalog.from_config(page, save_version="v1")
    for name in names:
        old.save(name, {name: 1})

    def fail(_: dict[str, int]) -> None:
        raise ZeroDivisionError

    nodes = [Node(keep, "data", "first"), Node(fail, "first", "second"), Node(keep, "second", "third")]
    catalog, hooks, manager = DataCatalog.from_config(page, save_version="v2"), MlflowRunHooks(), _manager()
    hooks._lineage, hooks._catalog = {"inputs": {}, "outputs": {}}, catalog
    manager.register(hooks)
    with pytest.raises(ZeroDivisionError):
        SequentialRunner().run(Pipeline(nodes), catalog, hook_manager=manager)
    assert {name: one["version"] for name, one in hooks._lineage["outputs"].items()} == {"first": "v2"}
    assert {name: one["version"] for name, one in hooks._lineage["inputs"].items()} == {
        "data": "v1",
        "first": "v2",
    }


def test_a_runner_is_named_without_its_address() -> None:
    """As Kedro tells of one: by its name, or as the object."""
    assert runner_name(str(ConcurrentRunner(max_workers=2))) == "wam.runner.ConcurrentRunner"
    assert runner_name("SequentialRunner") == "SequentialRunner"


def test_runs_of_dead_processes_are_ended_and_no_others(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = this_process().rpartition(":")[0]
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("wam", artifact_location=str(tmp_path))
    tags = {
        "KILLED": f"{here}:{gone.pid}",
        "RUNNING": this_process(),
        "elsewhere": f"another-{here}:{gone.pid}",
        "odd": f"{here}:number",
        "untagged": None,
    }
    runs = {
        name: client.create_run(experiment, tags={} if tag is None else {PROCESS: tag}).info.run_id
        for name, tag in tags.items()
    }
    end_killed_runs(client, experiment)
    found = {name: client.get_run(run).info.status for name, run in runs.items()}
    assert found.pop("KILLED") == "KILLED"
    assert set(found.values()) == {"RUNNING"}


INTERRUPTED = """
import os
import sys
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner
bootstrap_project(Path(sys.argv[1]))
import wam.pipelines.play.nodes as nodes

def press_ctrl_c(*_, **__):
    if len(sys.argv) > 3:
        os._exit(9)  # nothing is left to say so
    raise KeyboardInterrupt

nodes.collect = press_ctrl_c  # what the node calls
place = sys.argv[2]
options = {
    "data_root": f"{place}/data",
    "mlflow_uri": f"sqlite:///{place}/mlflow.db",
    "mlflow_artifacts": f"{place}/mlartifacts",
}
with KedroSession.create(Path(sys.argv[1]), env="smoke", runtime_params=options) as session:
    session.run(pipeline_names=["play"], runner=SequentialRunner())
"""


@pytest.mark.slow
def test_a_run_that_is_let_go_of_on_ctrl_c_is_killed_not_running_and_so_is_one_that_just_died(
    tmp_path: Path,
) -> None:
    def run(*more: str) -> tuple[str, list[str]]:
        command = [sys.executable, "-c", INTERRUPTED, str(ROOT), str(tmp_path), *more]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            return ended.stderr, [row[0] for row in database.execute("select status from runs")]

    assert run("dies")[1] == ["RUNNING"]
    said, found = run()
    assert "KeyboardInterrupt" in said
    assert found == ["KILLED", "KILLED"]
    assert "pybullet build time" not in said
    assert "Add type hints" not in said


FIRST = """
import sys, time
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
bootstrap_project(Path(sys.argv[1]))
import wam.hooks.mlflow_run

place, own = Path(sys.argv[2]), sys.argv[3]
options = {"data_root": f"{place}/data", "mlflow_uri": f"sqlite:///{place}/mlflow.db"}
with KedroSession.create(Path(sys.argv[1]), env="smoke", runtime_params=options) as session:
    (place / f"ready-{own}").touch()
    while len(list(place.glob("ready-*"))) < 3:
        time.sleep(0.01)
    session.load_context()
"""


@pytest.mark.slow
def test_first_runs_that_start_together_make_one_database(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FIRST, str(ROOT), str(tmp_path)]
    started = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(3)]
    errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors
