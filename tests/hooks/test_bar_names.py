"""The bars of a node carry its namespace, and those of whatever comes after it do not."""

import pytest
from kedro.framework.session.session import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from wam.hooks import ProgressHooks
from wam.parallel.progress import bar_owner


def note_owner(fails: bool) -> str:
    """Return the name before this thread's bars."""
    if fails:
        raise RuntimeError(bar_owner())
    return bar_owner()


def run(fails: bool) -> str:
    """Run one node of the namespace ``wam``; the name that its bars carried."""
    chosen = Pipeline([Node(note_owner, "params:fails", "owner", name="wam.note", namespace="wam")])
    hooks = ProgressHooks()
    hooks.before_pipeline_run(chosen)
    manager = _create_hook_manager()
    manager.register(hooks)
    catalog = DataCatalog()
    catalog["params:fails"] = fails
    return SequentialRunner().run(chosen, catalog, hook_manager=manager)["owner"].load()  # type: ignore[no-any-return]


def test_only_bars_of_the_node_carry_its_namespace() -> None:
    assert run(fails=False) == "wam"
    assert bar_owner() == ""


def test_a_failed_node_leaves_no_name_behind() -> None:
    with pytest.raises(RuntimeError, match="wam"):
        run(fails=True)
    assert bar_owner() == ""
