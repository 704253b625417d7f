"""How a run ends in MLflow."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INTERRUPTED = """
import sys
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner
bootstrap_project(Path(sys.argv[1]))
import wam.pipelines.play.nodes as nodes

def press_ctrl_c(*_, **__):
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
def test_a_run_that_kedros_own_runner_lets_go_of_on_ctrl_c_is_killed_not_running(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(ROOT), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "KeyboardInterrupt" in ended.stderr
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert [row[0] for row in database.execute("select status from runs")] == ["KILLED"]
    assert "pybullet build time" not in ended.stderr
    assert "Add type hints" not in ended.stderr
