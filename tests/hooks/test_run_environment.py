"""Settings without a reader and inputs without a maker stop a run before it starts."""

from pathlib import Path

import pytest
from kedro.io import DataCatalog

from wam.hooks.parameters import WrongParametersError
from wam.hooks.run_environment import MissingInputsError, OutputInTheWayError, RunEnvironmentHooks
from wam.pipeline_registry import register_pipelines
from wam.sim.play_config import PlayConfig
from wam.tasks.selection import SelectionConfig


@pytest.mark.parametrize(
    ("pipeline", "missing", "first"),
    [("ingest", "raw_episodes", "play"), ("features", "diwa.world_model", "play,ingest,world_model")],
)
def test_missing_inputs_name_the_pipeline_to_run_first(pipeline: str, missing: str, first: str) -> None:
    entry = {"type": "wam.datasets.JsonDataset", "filepath": "/nowhere/{name}", "versioned": True}
    catalog = DataCatalog.from_config({"{name}": entry})
    chosen = register_pipelines()[pipeline]
    with pytest.raises(MissingInputsError) as stopped:
        RunEnvironmentHooks().before_pipeline_run(
            run_params={"env": "smoke"}, pipeline=chosen, catalog=catalog
        )
    assert missing in str(stopped.value)
    assert f"kedro run --pipelines {first} --env smoke" in str(stopped.value)


def test_a_data_set_of_the_users_is_not_to_be_made() -> None:
    """As ``conf/paper`` has it: play would put its own frames where CALVIN's are expected."""
    entry = {"type": "wam.datasets.DirectoryDataset", "filepath": "/nowhere/task_D_D"}
    catalog = DataCatalog.from_config({"raw_episodes": entry})
    with pytest.raises(MissingInputsError, match="there is none at /nowhere/task_D_D: put or link it there"):
        RunEnvironmentHooks().before_pipeline_run(
            run_params={"env": "paper"}, pipeline=register_pipelines()["ingest"], catalog=catalog
        )


def test_nor_is_it_among_what_is_to_be_made_first() -> None:
    packed = {"type": "wam.datasets.JsonDataset", "filepath": "/nowhere/{name}", "versioned": True}
    given = {"type": "wam.datasets.DirectoryDataset", "filepath": "/nowhere/task_D_D"}
    catalog = DataCatalog.from_config({"raw_episodes": given, "{name}": packed})
    with pytest.raises(MissingInputsError, match="kedro run --pipelines ingest --env paper"):
        RunEnvironmentHooks().before_pipeline_run(
            run_params={"env": "paper"}, pipeline=register_pipelines()["world_model"], catalog=catalog
        )


def test_what_is_optional_may_be_missing() -> None:
    entry = {
        "type": "wam.datasets.JsonDataset",
        "filepath": "/nowhere/{name}",
        "versioned": True,
        "optional": True,
    }
    catalog = DataCatalog.from_config({"{name}": entry})
    RunEnvironmentHooks().before_pipeline_run(
        run_params={}, pipeline=register_pipelines()["reporting"], catalog=catalog
    )


def add_pages(catalog: DataCatalog, starts: int = 1) -> None:
    """What is selected, one of each task, and what is played."""
    catalog["params:selection"] = SelectionConfig(demos=1, test_starts=starts, selection_starts=1)
    catalog["params:play"] = PlayConfig(min_training_segments=1, test_starts=1, selection_starts=1)


def test_too_little_play_is_refused_where_it_is_made() -> None:
    entry = {"type": "wam.datasets.JsonDataset", "filepath": "/nowhere/{name}", "versioned": True}
    work = {"type": "wam.datasets.WorkDirDataset", "filepath": "/nowhere/work"}
    catalog = DataCatalog.from_config({"work_dir": work, "{name}": entry})
    add_pages(catalog, starts=2)
    with pytest.raises(WrongParametersError, match=r"selection.test_starts 2 is above play.test_starts 1"):
        RunEnvironmentHooks().before_pipeline_run(
            run_params={}, pipeline=register_pipelines()["play"], catalog=catalog
        )


@pytest.mark.parametrize(("report_is_there", "only_missing"), [(False, False), (True, False), (False, True)])
def test_a_folder_of_the_users_is_never_a_place_to_save(
    tmp_path: Path, report_is_there: bool, only_missing: bool
) -> None:
    place = tmp_path / "task_D_D"
    place.mkdir()
    catalog = DataCatalog.from_config(
        {
            "work_dir": {"type": "wam.datasets.WorkDirDataset", "filepath": str(tmp_path / "work")},
            "raw_episodes": {"type": "wam.datasets.DirectoryDataset", "filepath": str(place)},
            "play_report": {
                "type": "wam.datasets.JsonDataset",
                "filepath": str(tmp_path / "report.json"),
                "optional": True,
            },
        }
    )
    if report_is_there:
        catalog.save("play_report", {})
    add_pages(catalog)
    options = {"only_missing_outputs": only_missing}
    play = register_pipelines()["play"]
    with pytest.raises(OutputInTheWayError, match=r"collect_play could not save .*task_D_D is there already"):
        RunEnvironmentHooks().before_pipeline_run(run_params=options, pipeline=play, catalog=catalog)


def test_nothing_is_in_the_way_of_a_node_that_is_skipped(tmp_path: Path) -> None:
    page = {"type": "wam.datasets.DirectoryDataset", "filepath": str(tmp_path)}
    work = {"type": "wam.datasets.WorkDirDataset", "filepath": str(tmp_path / "work")}
    catalog = DataCatalog.from_config({"work_dir": work, "raw_episodes": page, "play_report": page})
    add_pages(catalog)
    options = {"only_missing_outputs": True}
    play = register_pipelines()["play"]
    RunEnvironmentHooks().before_pipeline_run(run_params=options, pipeline=play, catalog=catalog)
    with pytest.raises(OutputInTheWayError):
        RunEnvironmentHooks().before_pipeline_run(run_params={}, pipeline=play, catalog=catalog)
