"""Commands that run nothing start without the libraries of a run; what is late is no other for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from wam.pipeline_registry import NAMES, LatePipeline, register_pipelines
from wam.pipelines import chains
from wam.settings import HOOKS, project_hooks

ROOT = Path(__file__).parents[1]

OF_A_RUN = (
    "torch",
    "zarr",
    "matplotlib",
    "cv2",
    "pybullet",
    "gymnasium",
    "wam.hooks",
    "wam.datasets",
    "wam.pipelines.chains",
    "kedro_viz.integrations",
)
"""What takes longest to import, and the doors through which it would come in."""

LIST_AND_TELL = f"""
import sys
from kedro.framework.cli import main

sys.argv[1:] = ["registry", "list"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *(name for name in {OF_A_RUN!r} if name in sys.modules))
"""


@pytest.mark.slow
def test_a_list_of_pipelines_imports_nothing_of_a_run() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LIST_AND_TELL], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    names, _, imported = told.partition("imported:")
    assert {line.removeprefix("- ") for line in names.split("\n") if line.startswith("- ")} == set(NAMES)
    assert imported.split() == []


def test_names_are_those_of_what_is_built() -> None:
    assert tuple(chains.built()) == NAMES


def test_a_late_pipeline_is_the_one_that_is_built() -> None:
    for name in ("play", "verify_episodes"):
        late = LatePipeline(name)
        assert "_nodes" not in vars(late)
        assert late.nodes == chains.built()[name].nodes
        assert late.all_outputs() == chains.built()[name].all_outputs()


def test_late_pipelines_add_up() -> None:
    both = LatePipeline("play") + LatePipeline("ingest")
    parts = chains.built()
    assert set(both.nodes) == {*parts["play"].nodes, *parts["ingest"].nodes}
    assert (LatePipeline("reproduce") & LatePipeline("play")).nodes == []


def test_what_no_pipeline_has_a_late_one_lacks() -> None:
    late = LatePipeline("play")
    for _ in range(2):  # before it is built and after
        assert not hasattr(late, "no_such_part")
        with pytest.raises(AttributeError, match="no_such_part"):
            _ = late.no_such_part


def test_pipelines_and_hooks_are_made_once() -> None:
    assert register_pipelines()["play"] is register_pipelines()["play"]
    assert all(one is other for one, other in zip(HOOKS, project_hooks(), strict=True))
