"""Settings without a reader and inputs without a maker stop a run before it starts."""

import pytest
from kedro.io import DataCatalog

from wam.hooks.run_environment import MissingInputsError, RunEnvironmentHooks, unread
from wam.pipeline_registry import register_pipelines

PAGES = {"seed", "world_model", "tasks.open_drawer"}


def test_known_parameters_are_read() -> None:
    assert (
        list(unread({"seed": 1, "world_model": {"any": {"thing": 2}}, "tasks": {"open_drawer": {}}}, PAGES))
        == []
    )


def test_unknown_parameters_are_named() -> None:
    found = unread({"sed": 1, "tasks": {"opne_drawer": {"name": "x"}}}, PAGES)
    assert list(found) == ["sed", "tasks.opne_drawer"]


def test_run_options_are_no_parameters() -> None:
    assert list(unread({"data_root": "elsewhere", "run_name": "x"}, PAGES)) == []


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
