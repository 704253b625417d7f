"""Half-done work is found again by the same work, and by no other."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from wam.hooks import WorkDirHooks
from wam.hooks.work_dirs import ATTEMPTS, earlier_seconds, work_digest


def count_calls(data: dict[str, int], steps: int, work_dir: Path) -> dict[str, int]:
    """Count how often this work was begun; fails until it was begun ``steps`` times."""
    marker = work_dir / "calls"
    calls = int(marker.read_text()) + 1 if marker.exists() else 1
    marker.write_text(str(calls))
    if calls < steps:
        raise RuntimeError("killed")
    return {**data, "calls": calls}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, int]]:
    chosen = Pipeline([Node(count_calls, ["data", "params:steps", "work_dir"], "counted", name="count")])

    def run_one(version: str, steps: int, data: int = 0) -> dict[str, int]:
        entry = {"type": "wam.datasets.JsonDataset", "versioned": True}
        page = {name: {**entry, "filepath": str(tmp_path / name)} for name in ("data", "counted")}
        page["work_dir"] = {"type": "wam.datasets.WorkDirDataset", "filepath": str(tmp_path / "work")}
        DataCatalog.from_config(page, save_version=f"{version}-in").save("data", {"value": data})
        catalog = DataCatalog.from_config(page, save_version=version)
        catalog["params:steps"] = steps
        manager = _create_hook_manager()
        manager.register(WorkDirHooks())
        SequentialRunner().run(chosen, catalog, hook_manager=manager)
        loaded: dict[str, int] = catalog.load("counted")
        return loaded

    return run_one


def test_a_killed_node_finds_its_work_again(run: Callable[..., dict[str, int]]) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        run("v1", steps=2)
    assert run("v2", steps=2)["calls"] == 2


def test_the_folder_goes_once_outputs_are_saved(run: Callable[..., dict[str, int]], tmp_path: Path) -> None:
    run("v1", steps=1)
    assert list((tmp_path / "work").iterdir()) == []


def test_other_settings_start_anew(run: Callable[..., dict[str, int]], tmp_path: Path) -> None:
    for version, steps in (("v1", 3), ("v2", 4)):
        with pytest.raises(RuntimeError, match="killed"):
            run(version, steps=steps)
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_other_data_start_anew(run: Callable[..., dict[str, int]], tmp_path: Path) -> None:
    for version, data in (("v1", 0), ("v2", 1)):
        with pytest.raises(RuntimeError, match="killed"):
            run(version, steps=9, data=data)
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_a_trial_has_work_of_its_own_and_workers_do_not_matter() -> None:
    catalog = DataCatalog()

    def digest(**compute: Any) -> str:
        pages = {"params:seed": 1, "params:compute": {"workers": 2, "stop_after": None} | compute}
        return work_digest(catalog, pages)

    assert digest() == digest(workers=9)
    assert len({digest(), digest(stop_after=3), digest(stop_after=4)}) == 3


def test_time_of_killed_attempts_counts_until_they_last_wrote(tmp_path: Path) -> None:
    assert earlier_seconds(tmp_path) == 0.0
    began = json.loads((tmp_path / ATTEMPTS).read_text())[0]["began"]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/state").write_text("kept work")
    os.utime(tmp_path / "deep/state", (began + 50, began + 50))
    assert earlier_seconds(tmp_path) == pytest.approx(50, abs=0.01)
    again = json.loads((tmp_path / ATTEMPTS).read_text())[1]["began"]
    os.utime(tmp_path / "deep/state", (again + 7, again + 7))
    assert earlier_seconds(tmp_path) == pytest.approx(57, abs=0.01)
    os.utime(tmp_path / "deep/state", (began - 9, began - 9))
    assert earlier_seconds(tmp_path) == pytest.approx(
        57, abs=0.01
    )  # an attempt that wrote nothing adds nothing
