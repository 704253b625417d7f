"""A node never mixes descendants of different ancestors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from wam.hooks.provenance import ProvenanceError, ProvenanceHooks, _refuse_mix, find_mix

V1, V2 = {"version": "v1", "digest": "d1"}, {"version": "v2", "digest": "d2"}


def test_agreeing_inputs_are_no_mix() -> None:
    assert find_mix({"a": {"root": V1, "a": V1}, "b": {"root": V1}}) is None


def test_two_versions_of_an_ancestor_are_a_mix() -> None:
    mix = find_mix({"a": {"root": V1}, "b": {"root": V2}})
    assert mix is not None
    assert mix.ancestor == "root"
    assert mix.versions == {"a": "v1", "b": "v2"}


def test_same_content_under_two_versions_is_no_mix() -> None:
    again = {"version": "v2", "digest": "d1"}
    assert find_mix({"a": {"root": V1}, "b": {"root": again}}) is None


def test_without_digests_versions_decide() -> None:
    assert find_mix({"a": {"root": {"version": "v1"}}, "b": {"root": {"version": "v2"}}}) is not None


def pipeline(root: str = "one") -> Pipeline:
    """A small diamond: root -> left, right -> joined."""
    return Pipeline(
        [
            Node(lambda: {"is": root}, None, "root", name="make_root"),
            Node(lambda _: {"is": "left"}, "root", "left", name="make_left"),
            Node(lambda _: {"is": "right"}, "root", "right", name="make_right"),
            Node(lambda left, right: {**left, **right}, ["left", "right"], "joined", name="join"),
        ]
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., DataCatalog]:
    """``run(version, pipeline)``: run with the hook, saving under a version."""
    page = {
        name: {"type": "wam.datasets.JsonDataset", "filepath": str(tmp_path / name), "versioned": True}
        for name in ("root", "left", "right", "joined")
    }

    def run_one(version: str, chosen: Pipeline, **run_params: Any) -> DataCatalog:
        manager, hook = _create_hook_manager(), ProvenanceHooks()
        manager.register(hook)
        catalog = DataCatalog.from_config(page, save_version=version)
        hook._code = {"commit": "abc"}
        manager.hook.after_catalog_created(
            catalog=catalog,
            conf_catalog={},
            conf_creds={},
            parameters={},
            save_version=version,
            load_versions={},
        )
        manager.hook.before_pipeline_run(run_params=run_params, pipeline=chosen, catalog=catalog)
        SequentialRunner().run(chosen, catalog, hook_manager=manager)
        return catalog

    return run_one


def test_records_hold_ancestors_and_code(run: Callable[..., DataCatalog]) -> None:
    record = run("v1", pipeline()).get("joined").record()  # type: ignore[union-attr]
    assert set(record["ancestors"]) == {"root", "left", "right"}
    assert set(record["inputs"]) == {"left", "right"}
    assert record["node"] == "join"
    assert record["code"] == {"commit": "abc"}


def test_stale_input_stops_the_run_before_it_works(run: Callable[..., DataCatalog]) -> None:
    run("v1", pipeline("one"))
    with pytest.raises(ProvenanceError, match="mix descendants of different versions of root") as stopped:
        run("v2", pipeline("two").only_nodes("make_root", "make_left", "join"))
    assert "--load-versions" in str(stopped.value)
    assert "right from root v1" in str(stopped.value)


def test_stale_input_of_a_later_run_is_found_on_disk(run: Callable[..., DataCatalog]) -> None:
    run("v1", pipeline("one"))
    run("v2", pipeline("two").only_nodes("make_root", "make_left"))
    with pytest.raises(ProvenanceError, match="join would mix"):
        run("v3", pipeline().only_nodes("join"))


def test_repeating_a_deterministic_step_is_harmless(run: Callable[..., DataCatalog]) -> None:
    run("v1", pipeline("one"))
    run("v2", pipeline("one").only_nodes("make_root", "make_left"))
    run("v3", pipeline().only_nodes("join"))


def test_each_node_is_checked_where_the_run_is_not_known_beforehand(run: Callable[..., DataCatalog]) -> None:
    run("v1", pipeline("one"))
    run("v2", pipeline("two").only_nodes("make_root", "make_left"))
    with pytest.raises(ProvenanceError):
        run("v3", pipeline().only_nodes("join"), only_missing_outputs=True)


@pytest.mark.parametrize(
    ("stale", "maker"), [("wam.play_features", "features"), ("wam.open_drawer.online_policy", "online")]
)
def test_the_remedy_names_the_pipeline(stale: str, maker: str) -> None:
    old, new = ({"root": {"version": version, "digest": version}} for version in ("v1", "v2"))
    remedy = rf"make {stale} again \(kedro run --pipelines {maker} --env x\)"
    with pytest.raises(ProvenanceError, match=remedy):
        _refuse_mix(Node(len, "a", "b", name="join"), {stale: old, "root": new}, "x")


@pytest.mark.parametrize("missing_alone", [False, True])
def test_and_the_environment(
    run: Callable[..., DataCatalog], monkeypatch: pytest.MonkeyPatch, missing_alone: bool
) -> None:
    monkeypatch.setattr("wam.hooks.provenance._maker", lambda _: "stage")
    run("v1", pipeline("one"))
    run("v2", pipeline("two").only_nodes("make_root", "make_left"))
    with pytest.raises(ProvenanceError, match=r"\(kedro run --pipelines stage --env x\)"):
        run("v3", pipeline().only_nodes("join"), only_missing_outputs=missing_alone, env="x")


def test_of_a_folder_without_versions_no_older_one_is_offered() -> None:
    old, new = ({"raw_episodes": {"version": "", "digest": digest}} for digest in ("d1", "d2"))
    with pytest.raises(ProvenanceError, match="Remedy: make training_episodes again") as stopped:
        _refuse_mix(Node(len, "a", "b", name="join"), {"raw_episodes": new, "training_episodes": old}, None)
    assert "--load-versions" not in str(stopped.value)
