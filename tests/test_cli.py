"""``kedro run`` of this project: Kedro's options, another default runner."""

import warnings
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from click.testing import CliRunner
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Node, Pipeline

from wam import packing
from wam.cli import concurrent_nodes, pack, prune, run
from wam.contracts import InputError
from wam.datasets import EpisodesDataset
from wam.episodes.calvin_frame import CalvinFormatError

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True, scope="module")
def _project() -> None:
    bootstrap_project(ROOT)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``options(*arguments)``: what Kedro's own command is called with."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(kedro_run, "callback", lambda **values: seen.update(values))
    monkeypatch.chdir(ROOT)

    def call(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(run, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return seen

    return call


def test_kedro_finds_this_command() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of plugins, when they are loaded
        assert find_run_command("wam") is run
    assert [param.name for param in run.params] == [param.name for param in kedro_run.params]


@pytest.mark.parametrize("environment", ["base", "smoke", "workstation"])
def test_two_nodes_at_once_by_default(options: Any, environment: str) -> None:
    seen = options("--env", environment)
    assert seen["runner"] == "wam.runner.ConcurrentRunner"
    assert seen["runner_params"] == {"max_workers": 2, "companions": environment != "smoke"}


@pytest.mark.parametrize("environment", ["gpu", "paper", "test"])
def test_one_after_another_where_the_environment_says_so(options: Any, environment: str) -> None:
    assert options("--env", environment)["runner"] is None


def test_a_named_runner_wins(options: Any) -> None:
    seen = options("--runner", "SequentialRunner")
    assert (seen["runner"], seen["runner_params"]) == ("SequentialRunner", {})


def test_runner_params_win(options: Any) -> None:
    seen = options("--runner-params", "max_workers=3")["runner_params"]
    assert seen == {"max_workers": 3, "companions": True}


def test_other_options_arrive_as_they_do_at_kedros_command(options: Any) -> None:
    seen = options(
        *("--pipelines", "world_model,ppo", "--namespaces", "wam.open_drawer", "--only-missing-outputs"),
        *("--load-versions", "wam.world_model:v1", "--params", "seed=3"),
    )
    assert set(seen["pipelines"]) == {"world_model", "ppo"}
    assert list(seen["namespaces"]) == ["wam.open_drawer"]
    assert seen["only_missing_outputs"] is True
    assert seen["load_versions"] == {"wam.world_model": "v1"}
    assert seen["params"] == {"seed": 3}


def test_the_older_spelling_arrives(options: Any) -> None:
    seen = options("--pipeline=world_model")
    assert (seen["pipeline"], seen["runner"]) == ("world_model", "wam.runner.ConcurrentRunner")


@pytest.mark.parametrize("spelling", ["--pipelines", "--pipeline"])
@pytest.mark.parametrize(("pipeline", "kept"), [("ablation", True), ("world_model", False)])
def test_an_ablation_keeps_what_is_finished(options: Any, spelling: str, pipeline: str, kept: bool) -> None:
    assert options(spelling, pipeline)["only_missing_outputs"] is kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "smok"], "there is no environment 'smok' (did you mean smoke?)"),
        (
            ["--pipelines", "ingest,world_models"],
            "there is no pipeline 'world_models' (did you mean world_model?)",
        ),
        (["--pipeline=plays"], "there is no pipeline 'plays' (did you mean play?)"),
    ],
)
def test_names_that_there_are_not_are_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(run, arguments)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--namespaces", "wam.open_draw"], "no namespace 'wam.open_draw' (did you mean wam.open_drawer?)"),
        (["--tags", "open_drawers"], "no tag 'open_drawers' (did you mean open_drawer?)"),
        (
            ["--nodes", "wam.train_wrld_model"],
            "no node 'wam.train_wrld_model' (did you mean wam.train_world_",
        ),
        (["--from-nodes", "collect_plays"], "no node 'collect_plays' (did you mean collect_play?)"),
        (
            ["--pipelines", "ablation", "--namespaces", "wam-s9"],
            "no namespace 'wam-s9' (did you mean wam-s1?)",
        ),
        (["--pipelines", "ablation", "--tags", "verdct"], "no tag 'verdct' (did you mean verdict?)"),
    ],
)
def test_what_pipelines_do_not_have_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """Kedro raises ValueError, when the hooks have read the ablation's rows."""

    def refuse(**_: Any) -> None:
        cell = [Node(lambda: 1, None, "x", name="n", namespace="wam-s1", tags=["verdict"])]
        monkeypatch.setitem(pipelines, "ablation", Pipeline(cell))
        raise ValueError("Pipeline does not contain nodes")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(kedro_run, "callback", refuse)
    result = CliRunner().invoke(run, arguments)
    assert (result.exit_code, result.output[:16]) == (1, "Error: there is ")
    assert message in result.output


def test_other_errors_of_a_run_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise ValueError("a node failed")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(kedro_run, "callback", fail)
    result = CliRunner().invoke(run, ["--namespaces", "wam.open_drawer"])
    assert isinstance(result.exception, ValueError)


def test_cells_and_whole_conditions_are_namespaces(options: Any) -> None:
    assert list(options("--namespaces", "wam,diwa.open_drawer")["namespaces"]) == ["wam", "diwa.open_drawer"]


def test_so_is_a_store_that_the_catalog_cannot_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "half.zarr").mkdir()
    store = EpisodesDataset(filepath=tmp_path / "half.zarr")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(kedro_run, "callback", lambda **_: store.load())
    result = CliRunner().invoke(run, [])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "half.zarr" in result.output
    assert isinstance(result.exception, SystemExit), "and no error of Kedro's"


def test_bad_input_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise CalvinFormatError("episode_0000001.npz: cannot be read; copy it again")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(kedro_run, "callback", fail)
    result = CliRunner().invoke(run, [])
    assert (result.exit_code, result.output) == (
        1,
        "Error: episode_0000001.npz: cannot be read; copy it again\n",
    )


def test_the_environment_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("KEDRO_ENV", "gpu")
    assert concurrent_nodes(None, None) == 1
    assert concurrent_nodes(None, "smoke") == 2


@pytest.mark.parametrize("value", ["0", "two", "1.5", "true"])
def test_nonsense_is_refused(tmp_path: Path, value: str) -> None:
    for folder in ("base", "local"):
        (tmp_path / folder).mkdir()
    (tmp_path / "base" / "globals.yml").write_text(f"concurrent_nodes: {value}\n")
    with pytest.raises(ClickException, match="whole number above 0"):
        concurrent_nodes(str(tmp_path), None)


def test_prune_lists_and_deletes_only_when_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    for version in ("run1", "run2"):
        folder = tmp_path / "06_models/model" / version
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(f'{{"digest": "{version}", "bytes": 2000000}}')
    options = ["--data-root", str(tmp_path), "--keep", "1"]
    listed = CliRunner().invoke(prune, options, catch_exceptions=False).output
    assert "2.0 MB  06_models/model/run1" in listed
    assert "1 versions, 2.0 MB" in listed
    assert "would be deleted" in listed
    assert (tmp_path / "06_models/model/run1").exists()
    CliRunner().invoke(prune, [*options, "--delete"], catch_exceptions=False)
    assert [path.name for path in (tmp_path / "06_models/model").iterdir()] == ["run2"]


def test_pack_hands_on_its_options_and_tells_faults_without_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    seen: dict[str, Any] = {}

    def written(project: Path, job: Path, **options: Any) -> list[str]:
        if job.name == "bad":
            raise InputError("bad is not empty; name a new folder")
        seen.update(options, project=project)
        job.mkdir()
        (job / "episodes.npz").write_bytes(bytes(2**20))
        return ["wam-s1"]

    monkeypatch.setattr(packing, "pack", written)
    options = ["--pipelines", "ablation", "--tags", "verdict,s1", "--params", "compute.stop_after=3"]
    told = CliRunner().invoke(pack, [str(tmp_path / "job"), *options], catch_exceptions=False)
    assert told.output == f"wam-s1: 1.0 MiB in {tmp_path / 'job'}\n"
    assert seen == {
        "project": ROOT,
        "env": None,
        "names": ["ablation"],
        "tags": ["verdict", "s1"],
        "namespaces": [],
        "parameters": {"compute": {"stop_after": 3}},
        "most_mib": 45.0,
    }
    for wrong, message in (
        ([str(tmp_path / "bad")], "Error: bad is not empty; name a new folder\n"),
        ([str(tmp_path / "x"), "--pipelines", "wrold_model"], "Error: there is no pipeline 'wrold_model'"),
        ([str(tmp_path / "x"), "--env", "gpus"], "Error: there is no environment 'gpus'"),
    ):
        told = CliRunner().invoke(pack, wrong, catch_exceptions=False)
        assert told.exit_code == 1
        assert message in told.output
