"""What a run makes does not depend on how many nodes run at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import AbstractRunner, SequentialRunner

from wam.hooks import MlflowCellHooks, ProgressHooks, ProvenanceHooks, WorkDirHooks
from wam.pipelines.behavior_cloning.nodes import clone_control
from wam.pipelines.pages import ComputeConfig, TaskRow
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.runner import ConcurrentRunner
from wam.training.companion import apart
from wam.training.config import OptimizerConfig

TASKS = ("open_drawer", "turn_on_led", "close_drawer", "turn_off_led")
SEGMENTS, LENGTH, WIDTH = 3, 9, 6

PAGES = {
    "policy": DiffusionConfig(hidden=32, standardize_condition=True),
    "cloning": CloningConfig(
        optimizer=OptimizerConfig(learning_rate=1e-3), batch=16, steps=20, ema_decay=0.9
    ),
    "compute": ComputeConfig(device="cpu", workers=1),
    "seed": 3,
}


def demonstrations() -> dict[str, Any]:
    count = SEGMENTS * len(TASKS)
    rng = np.random.default_rng(0)
    arrays = {
        "feat": rng.normal(size=(count * LENGTH, WIDTH)).astype(np.float32),
        "action": rng.uniform(-1, 1, size=(count * LENGTH, 7)).astype(np.float32),
        "segment": np.repeat(np.arange(count), LENGTH),
        "step": np.tile(np.arange(LENGTH), count),
    }
    return {
        "features": arrays,
        "segments": pd.DataFrame({"task": np.repeat(TASKS, SEGMENTS), "role": "demo"}),
    }


def pipeline() -> Pipeline:
    shared = [f"params:{name}" for name in PAGES]
    return Pipeline(
        [
            Node(
                apart(clone_control),
                ["features", "segments", f"params:task.{task}", *shared, "work_dir"],
                [f"{task}.policy", f"{task}.raw_policy", f"{task}.curves"],
                name=f"clone_{task}",
            )
            for task in TASKS
        ]
    )


def digests(folder: Path, runner: AbstractRunner) -> dict[str, str]:
    kinds = {"features": "ArraysDataset", "segments": "TableDataset"}
    for task in TASKS:
        kinds |= {f"{task}.{name}": "CheckpointDataset" for name in ("policy", "raw_policy")}
        kinds[f"{task}.curves"] = "TableDataset"
    page: dict[str, Any] = {
        name: {"type": f"wam.datasets.{kind}", "filepath": str(folder / name), "versioned": True}
        for name, kind in kinds.items()
    }
    page["work_dir"] = {"type": "wam.datasets.WorkDirDataset", "filepath": str(folder / "work")}
    catalog = DataCatalog.from_config(page, save_version="v1")
    for name, data in demonstrations().items():
        catalog.save(name, data)
    for name, value in PAGES.items():
        catalog[f"params:{name}"] = value
    for task in TASKS:
        catalog[f"params:task.{task}"] = TaskRow(name=task)
    manager = _create_hook_manager()
    provenance, progress, cells = ProvenanceHooks(), ProgressHooks(), MlflowCellHooks()
    provenance._code, provenance._save_version = {}, "v1"
    progress.before_pipeline_run(pipeline())
    for hooks in (provenance, progress, cells, WorkDirHooks()):
        manager.register(hooks)
    runner.run(pipeline(), catalog, hook_manager=manager)
    assert list((folder / "work").iterdir()) == []
    return {name: catalog.get(name).record()["digest"] for name in kinds}  # type: ignore[union-attr]


@pytest.fixture
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as each node gets, whoever runs it
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_one_thread")
def test_two_at_once_make_what_one_after_another_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wam.runner.available_workers", lambda: 2)
    one = digests(tmp_path / "one", SequentialRunner())
    two = digests(tmp_path / "two", ConcurrentRunner(max_workers=2))
    apart_ = digests(tmp_path / "apart", ConcurrentRunner(max_workers=2, companions=True))
    assert one == two == apart_
    assert len({one[f"{task}.policy"] for task in TASKS}) == len(TASKS)
