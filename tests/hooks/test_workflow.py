"""Kedro-Viz's workflow view gets the events of whole runs, also of nodes that run side by side."""

import json
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from wam.hooks import WorkflowHooks
from wam.runner import ConcurrentRunner

WHOLE: dict[str, Any] = {"pipeline_names": None, "runner": "<wam.runner.ConcurrentRunner object at 0x1>"}
EVENTS = ".viz/kedro_pipeline_events.json"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(hooks: WorkflowHooks, run_params: dict[str, Any]) -> None:
    nodes = [Node(lambda x: x, "start", name, name=f"make_{name}") for name in "abcd"]
    catalog = DataCatalog({"start": MemoryDataset(1)})
    manager = _create_hook_manager()
    manager.register(hooks)
    hooks.after_catalog_created(catalog)
    hooks.before_pipeline_run(run_params, Pipeline(nodes))
    ConcurrentRunner(max_workers=2).run(Pipeline(nodes), catalog, hook_manager=manager)
    hooks.after_pipeline_run()


def test_every_node_is_noted_once_and_each_run_begins_anew(project: Path) -> None:
    hooks = WorkflowHooks()
    for _ in range(2):
        run(hooks, WHOLE)
        events = json.loads((project / EVENTS).read_text())
        ran = [event["node"] for event in events if event["event"] == "after_node_run"]
        assert sorted(ran) == ["make_a", "make_b", "make_c", "make_d"]


@pytest.mark.parametrize(
    "part",
    [{"pipeline_names": ["world_model"]}, {"namespaces": ["wam"]}, {"only_missing_outputs": True}],
)
def test_a_part_leaves_the_notes_of_the_last_whole_run(project: Path, part: dict[str, Any]) -> None:
    run(WorkflowHooks(), WHOLE | part)
    assert not (project / EVENTS).exists()
