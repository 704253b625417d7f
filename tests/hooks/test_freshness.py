"""Outputs of other settings or inputs count as missing, and all that is made from them."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from wam.contracts import config
from wam.datasets import ArtefactDataset
from wam.hooks.freshness import FreshnessHooks, left_behind
from wam.hooks.provenance import ProvenanceHooks
from wam.hooks.run_environment import MissingInputsError, OutputInTheWayError, RunEnvironmentHooks
from wam.settings import HOOKS


@config
class Page:
    """A page that has grown since something was made with it."""

    width: int
    new: bool = False


def pipeline(made: list[str]) -> Pipeline:
    """model (from data and a page) -> score, and a page of both scores."""

    def train(data: Any, page: Page) -> Any:
        made.append("model")
        return {"model": page.width, **data}

    def score(model: Any) -> Any:
        made.append("score")
        return {"score": model["model"]}

    def collect(score: Any) -> Any:
        made.append("table")
        return score

    return Pipeline(
        [
            Node(train, ["data", "params:page"], "model", name="train_model"),
            Node(score, "model", "score", name="score_model"),
            Node(collect, "score", "table", name="collect_scores"),
        ]
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[str]]:
    """``run(version, page)``: what was made by a run that keeps what is there."""

    def entry(name: str) -> dict[str, Any]:
        return {"type": "wam.datasets.JsonDataset", "filepath": str(tmp_path / name), "versioned": True}

    entries = {name: entry(name) for name in ("data", "model", "score", "table")}
    DataCatalog.from_config(entries, save_version="v0")["data"].save({"data": 1})

    def run_one(version: str, page: Page, *, data: Any = None) -> list[str]:
        if data is not None:
            DataCatalog.from_config(entries, save_version=version)["data"].save(data)
        made: list[str] = []
        manager, provenance = _create_hook_manager(), ProvenanceHooks()
        provenance._code, provenance._save_version = {}, version
        manager.register(provenance)
        catalog = DataCatalog.from_config(entries, save_version=version)
        catalog["params:page"] = page
        chosen = pipeline(made)
        options = {"only_missing_outputs": True}
        FreshnessHooks().before_pipeline_run(run_params=options, pipeline=chosen, catalog=catalog)
        SequentialRunner().run(chosen, catalog, hook_manager=manager, only_missing_outputs=True)
        return made

    return run_one


def test_what_is_up_to_date_is_skipped(run: Callable[..., list[str]]) -> None:
    assert run("v1", Page(width=1)) == ["model", "score", "table"]
    assert run("v2", Page(width=1)) == []


def test_another_setting_makes_it_and_all_behind_it_again(run: Callable[..., list[str]]) -> None:
    run("v1", Page(width=1))
    assert run("v2", Page(width=2)) == ["model", "score", "table"]
    assert run("v3", Page(width=2)) == []


def test_other_inputs_make_it_again(run: Callable[..., list[str]]) -> None:
    run("v1", Page(width=1))
    assert run("v2", Page(width=1), data={"data": 2}) == ["model", "score", "table"]


def test_the_same_input_under_a_new_version_changes_nothing(run: Callable[..., list[str]]) -> None:
    run("v1", Page(width=1))
    assert run("v2", Page(width=1), data={"data": 1}) == []


def test_that_nothing_is_to_do_is_said(
    run: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "wam")
    run("v1", Page(width=1))
    assert "up to date" not in caplog.text
    run("v2", Page(width=1))
    assert "all of 3 nodes are up to date" in caplog.text


def test_what_a_trial_made_counts_as_missing_in_any_pipeline(tmp_path: Path) -> None:
    """train (reads the page compute) -> score; the trial's outputs are there, whole, and worth nothing."""
    entries = {
        name: {"type": "wam.datasets.JsonDataset", "filepath": str(tmp_path / name), "versioned": True}
        for name in ("model", "score")
    }
    made: list[str] = []

    def train(compute: dict[str, Any]) -> dict[str, Any]:
        made.append("model")
        return {"steps": compute["stop_after"]}

    def score(model: dict[str, Any]) -> dict[str, Any]:
        made.append("score")
        return model

    nodes = [Node(train, "params:compute", "model"), Node(score, "model", "score")]

    def run_one(version: str, stop_after: int | None) -> list[str]:
        made.clear()
        manager, provenance = _create_hook_manager(), ProvenanceHooks()
        provenance._code, provenance._save_version = {}, version
        manager.register(provenance)
        catalog = DataCatalog.from_config(entries, save_version=version)
        catalog["params:compute"] = {"workers": 2, "stop_after": stop_after}
        options, chosen = {"only_missing_outputs": True}, Pipeline(nodes)
        FreshnessHooks().before_pipeline_run(run_params=options, pipeline=chosen, catalog=catalog)
        SequentialRunner().run(chosen, catalog, hook_manager=manager, only_missing_outputs=True)
        return list(made)

    assert run_one("v1", 3) == ["model", "score"]
    assert run_one("v2", 3) == []
    assert run_one("v3", None) == ["model", "score"]
    assert run_one("v4", None) == []
    assert run_one("v5", 3) == []  # a trial has no need to put anything in the place of the real thing


@pytest.fixture
def hooks() -> PluginManager:
    """The hooks that look which outputs exist, in the project's order."""
    manager = _create_hook_manager()
    for hook in HOOKS:
        if isinstance(hook, FreshnessHooks | RunEnvironmentHooks):
            manager.register(hook)
    return manager


def test_what_is_in_the_way_of_a_trials_output_is_found_before_any_work(
    tmp_path: Path, hooks: PluginManager
) -> None:
    """The page is there and would be skipped, were it not made from what a trial made."""
    model = {"type": "wam.datasets.JsonDataset", "filepath": str(tmp_path / "model"), "versioned": True}
    page = {"type": "wam.datasets.DirectoryDataset", "filepath": str(tmp_path / "page")}
    (tmp_path / "page").mkdir()

    def make(source: Any) -> Any:
        return source

    def catalog_of(version: str) -> DataCatalog:
        catalog = DataCatalog.from_config({"model": model, "page": page}, save_version=version)
        catalog["params:compute"] = {"workers": 2, "stop_after": None}
        return catalog

    def check() -> None:
        hooks.hook.before_pipeline_run(
            run_params={"only_missing_outputs": True},
            pipeline=Pipeline(
                [Node(make, "params:compute", "model"), Node(make, "model", "page", name="draw")]
            ),
            catalog=catalog_of("v3"),
        )

    for version, stop_after in (("v1", 3), ("v2", None)):
        catalog = catalog_of(version)
        catalog["model"].set_origin({"parameters": {"compute": {"workers": 2, "stop_after": stop_after}}})
        catalog["model"].save({})
        with pytest.raises(OutputInTheWayError, match="draw could not save") if stop_after else nullcontext():
            check()


def test_inputs_that_nobody_made_are_still_named(tmp_path: Path, hooks: PluginManager) -> None:
    entry = {"type": "wam.datasets.JsonDataset", "filepath": f"{tmp_path}/{{name}}", "versioned": True}
    catalog = DataCatalog.from_config({"{name}": entry}, save_version="v1")
    catalog["params:page"] = Page(width=1)
    with pytest.raises(MissingInputsError, match="data must exist before this run"):
        hooks.hook.before_pipeline_run(
            run_params={"only_missing_outputs": True}, pipeline=pipeline([]), catalog=catalog
        )


def test_records_say_how_long_it_took(run: Callable[..., list[str]], tmp_path: Path) -> None:
    run("v1", Page(width=1))
    record = (tmp_path / "table/v1/record.json").read_text()
    assert '"seconds": 0.' in record
    assert '"node": "train_model"' in record


def test_results_of_a_model_that_is_no_more_are_left_out_of_the_page(tmp_path: Path) -> None:
    def entry(name: str, *, optional: bool = False) -> dict[str, Any]:
        place = {"filepath": str(tmp_path / name), "versioned": True, "optional": optional}
        return {"type": "wam.datasets.JsonDataset", **place}

    entries = {"model": entry("model"), **{name: entry(name, optional=True) for name in ("old", "new")}}
    page = Pipeline([Node(lambda *_: None, ["old", "new"], "page", name="page")], tags=["ablation"])

    def save(version: str, name: str, values: dict[str, Any]) -> None:
        catalog = DataCatalog.from_config(entries, save_version=version)
        model = catalog["model"]
        assert isinstance(model, ArtefactDataset)
        result = catalog[name]
        assert isinstance(result, ArtefactDataset)
        if name != "model":
            result.set_origin({"ancestors": {"model": {"digest": model.record()["digest"]}}})
        result.save(values)

    def kept(again: set[str]) -> list[str]:
        catalog = DataCatalog.from_config(entries)
        behind = {name for name, _ in left_behind(page, catalog, again)}
        return [name for name in ("old", "new") if name not in behind]

    save("v0", "model", {"width": 1})
    save("v1", "old", {"score": 1})
    assert kept(set()) == ["old", "new"]  # nothing of the other is there yet: nothing to leave out
    save("v2", "model", {"width": 2})
    save("v3", "new", {"score": 2})
    assert kept(set()) == ["new"]
    assert kept({"model"}) == []
