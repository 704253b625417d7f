"""The whole chain at toy size, as a newcomer runs it, and what a user may do next."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner
from nbclient import NotebookClient

from wam.contracts import InputError
from wam.hooks.parameters import WrongParametersError
from wam.hooks.provenance import ProvenanceError
from wam.packing import pack
from wam.pipelines.grid import CONDITIONS, TASKS, WORLD_MODELS
from wam.pipelines.pages import ImaginationStartsConfig
from wam.pipelines.practice_scenes import imagination_scenes
from wam.runner import ConcurrentRunner, InterruptedRunError
from wam.sim.config import SimConfig
from wam.training.checkpoint import load_checkpoint
from wam.world_model import remote_training
from wam.world_model.remote import bring_back, read_pages

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where data and MLflow runs of this module go."""
    return tmp_path_factory.mktemp("smoke")


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    """``run(pipelines=..., params=..., **options)``: a session of the environment ``smoke``."""
    bootstrap_project(ROOT)

    def run_one(
        *pipelines: str, params: dict[str, Any] | None = None, root: Path = place, **options: Any
    ) -> dict[str, Any]:
        runtime_params = {
            "data_root": str(root / "data"),
            "mlflow_uri": f"sqlite:///{place / 'mlflow.db'}",
            "mlflow_artifacts": str(place / "mlartifacts"),
            **(params or {}),
        }
        options.setdefault("runner", ConcurrentRunner(max_workers=2))  # as on the command line
        with KedroSession.create(ROOT, env="smoke", runtime_params=runtime_params) as session:
            found: dict[str, Any] = session.run(pipeline_names=list(pipelines) or None, **options)
            return found

    return run_one


@pytest.fixture(scope="module")
def everything(run: Run) -> dict[str, Any]:
    """The outputs of one whole run."""
    before = _checkout()
    outputs = run()
    assert _checkout() == before, "a run changed files of the checkout"
    return outputs


def _checkout() -> tuple[str, list[str]]:
    """What a run with data and MLflow elsewhere must leave alone: project file, data, names at the root."""
    names = [path.name for path in ROOT.iterdir() if not path.name.startswith(".")]
    data = [str(path) for path in (ROOT / "data").glob("*/*")]
    return (ROOT / "pyproject.toml").read_text(), sorted([*names, *data])


def test_the_report_is_one_page_with_everything_inside(everything: dict[str, Any]) -> None:
    page = everything["report"].load()
    assert "DiWA against WAM" in page
    for title in ("Success by task", "Judges of success", "World models", "Rollouts", "What this rests on"):
        assert title in page
    for heading in ("What stands in the way", "What the features know", "Imagined beside real success"):
        assert heading in page
    assert "data:image/webp;base64," in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_every_condition_ran_from_the_same_starts(place: Path, everything: dict[str, Any]) -> None:
    rows = pd.concat([_latest_table(place, f"07_model_output/{name}/results.parquet") for name in CONDITIONS])
    assert set(rows["task"]) == set(TASKS)
    assert rows.groupby(["task", "policy"])["start"].nunique().eq(1).all()
    assert everything["success_table_markdown"].load().count("\n| ") == len(TASKS) + 2


def test_sets_of_starts_are_disjoint(place: Path, everything: dict[str, Any]) -> None:
    assert everything
    starts = _latest_table(place, "03_primary/starts.parquet")
    assert not starts.duplicated(["split", "frame_id", "task"]).any()
    episodes = starts.groupby("role")["episode"].apply(set)
    assert not episodes["test"] & episodes["selection"]
    recorded = {tuple(scene) for scene in starts["scene_state"]}
    for task in TASKS:
        page = ImaginationStartsConfig(scenes=2, seed=41)
        practised = imagination_scenes(SimConfig(), page, task)
        assert not {tuple(scene.scene_state) for scene in practised} & recorded


def test_policies_are_also_refined_in_the_simulator(
    place: Path, run: Run, everything: dict[str, Any]
) -> None:
    assert everything
    outputs = run("online", tags=["open_drawer"])
    assert "PPO in the simulator beside PPO in imagination" in outputs["online_report"].load()
    table = _latest_table(place, "08_reporting/online/table.parquet")
    assert table["world_model"].tolist() == list(WORLD_MODELS)
    assert (table["real_steps"] <= 2 * 2 * 8).all()
    points = _latest_table(place, "08_reporting/online/points.parquet")
    assert set(points["starts"]) == {"practice", "selection"}
    assert list((place / "data/.work").iterdir()) == []


def test_a_world_model_that_another_machine_trained_is_taken_for_one_trained_here(
    place: Path, run: Run, everything: dict[str, Any], tmp_path: Path
) -> None:
    assert everything
    own = {"data_root": str(tmp_path / "data"), "mlflow_uri": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    shutil.copytree(place / "data/03_primary", tmp_path / "data/03_primary")
    job, out = tmp_path / "job", tmp_path / "out"
    options: dict[str, Any] = {"env": "smoke", "tags": [], "parameters": own, "most_mib": 45.0}
    assert pack(ROOT, job, names=["world_model"], namespaces=["wam"], **options) == ["wam"]
    with pytest.raises(InputError, match="is not empty; name a new folder"):
        pack(ROOT, job, names=["world_model"], namespaces=[], **options)
    with pytest.raises(InputError, match="trains a world model"):
        pack(ROOT, tmp_path / "none", names=["features"], namespaces=[], **options)
    with pytest.raises(InputError, match="MiB packed, 0 are allowed"):
        pack(ROOT, tmp_path / "none", names=["world_model"], namespaces=[], **{**options, "most_mib": 0.0})
    assert not list(tmp_path.glob(".*")), "what was refused leaves nothing"
    assert not (tmp_path / "none").exists()
    assert remote_training.main([str(job), str(out), "--device", "cpu"]) == 0
    taken = {"compute": {"remote": str(out)}, "mlflow_uri": own["mlflow_uri"]}
    run("world_model", namespaces=["wam"], params=taken, root=tmp_path)
    (saved,) = (tmp_path / "data/06_models/wam/world_model").glob("*/world_model")
    got = load_checkpoint(saved)
    assert got.digest == bring_back(out, read_pages(job)["wam"])[0].digest
    assert got.extra["remote"]["device"] == "cpu"
    with pytest.raises(InputError, match="where nothing was trained as here; wam is nearest: model"):
        run("world_model", namespaces=["diwa"], params=taken, root=tmp_path, runner=SequentialRunner())


def test_each_cell_has_a_child_run_that_finished(place: Path, everything: dict[str, Any]) -> None:
    assert everything
    with sqlite3.connect(place / "mlflow.db") as database:
        runs = dict(database.execute("select name, status from runs"))
        keys = {row[0] for row in database.execute("select distinct key from metrics")}
    cells = {f"{condition}.{task}" for condition in CONDITIONS for task in TASKS}
    assert cells <= set(runs)
    assert set(runs.values()) == {"FINISHED"}
    assert {"clone_policy/loss", "evaluation_metrics/cloned_success", "wam/train_world_model/loss"} <= keys


def test_diagnostics_come_before_ppo_and_never_touch_held_out_starts(
    place: Path, everything: dict[str, Any]
) -> None:
    assert everything
    starts = _latest_table(place, "03_primary/starts.parquet")
    selection = starts[starts["role"] == "selection"].groupby("task").size()
    for name in WORLD_MODELS:
        episodes = _latest_table(place, f"07_model_output/{name}/calibration_rows.parquet")
        real = episodes[(episodes["world"] == "real") & (episodes["role"] == "selection")]
        assert real.groupby("task").size().to_dict() == selection.to_dict()
        practised = episodes[(episodes["world"] == "real") & (episodes["role"] == "practice")]
        assert practised.groupby("task").size().to_dict() == dict.fromkeys(TASKS, 1)
        figures = _latest_table(place, f"07_model_output/{name}/metrics.parquet")
        evaluated = figures[(figures["stage"] == "ppo") & (figures["name"] == "real_success_first")]
        calibrated = real.groupby("task")["success"].mean()
        assert dict(zip(evaluated["task"], evaluated["value"], strict=True)) == calibrated.to_dict()
    with sqlite3.connect(place / "mlflow.db") as database:
        keys = {row[0] for row in database.execute("select distinct key from metrics")}
    assert {"calibration_metrics/calibration_gap", "ppo_metrics/calibration_doubted"} <= keys
    assert {"wam/probe_metrics/drawer_error_cm", "wam/calibration_summary/trusted"} <= keys


def test_every_logged_metric_is_described(place: Path, everything: dict[str, Any]) -> None:
    """By a row of ``docs/metrics.md``; there ``<word>`` stands for any name and ``...`` for what follows."""
    assert everything
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    names += [name.rsplit("/", 1)[-1] for name in names if "..." not in name]
    patterns = [re.sub(r"<\w+>", r"\\w+", re.escape(name).replace(re.escape("..."), ".+")) for name in names]
    with sqlite3.connect(place / "mlflow.db") as database:
        logged = {row[0] for row in database.execute("select distinct key from metrics")}
    for key in sorted(logged):
        stage, name = key.split("/")[-2:]
        assert any(re.fullmatch(one, full) for one in patterns for full in (name, f"{stage}/{name}")), key


def test_lineage_is_logged_and_nothing_is_copied(place: Path, everything: dict[str, Any]) -> None:
    assert everything
    logged = list((place / "mlartifacts").rglob("*"))
    assert {path.name for path in logged if path.is_file()} == {"lineage.json"}
    lineages = [json.loads(path.read_text()) for path in logged if path.is_file()]
    whole = max(lineages, key=lambda one: len(one["outputs"]))
    assert len(whole["outputs"]["wam.world_model"]["digest"]) == 32


def test_every_version_has_a_record_and_no_scratch_is_left(place: Path, everything: dict[str, Any]) -> None:
    assert everything
    assert list((place / "data/.work").iterdir()) == []
    assert not list((place / "data").rglob(".*.partial"))
    records = list((place / "data/06_models").rglob("record.json"))
    assert len(records) > len(TASKS) * len(WORLD_MODELS)
    assert json.loads(records[0].read_text())["ancestors"]


@pytest.mark.parametrize("name", ["browse_episodes", "browse_imagination"])
def test_notebooks_run_on_what_the_run_made(place: Path, everything: dict[str, Any], name: str) -> None:
    assert everything
    notebook = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)
    options = {
        "data_root": str(place / "data"),
        "mlflow_uri": f"sqlite:///{place / 'mlflow.db'}",
        "mlflow_artifacts": str(place / "mlartifacts"),
    }
    choice = next(cell for cell in notebook.cells if "ENVIRONMENT = None" in cell.source)
    choice.source = f"ENVIRONMENT = 'smoke'\nOPTIONS = {options!r}"
    done = NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(ROOT / "notebooks"))
    assert any(
        "image/png" in output.get("data", {}) for cell in done.cells for output in cell.get("outputs", [])
    )


def test_a_repeated_world_model_stops_its_old_cells(run: Run, everything: dict[str, Any]) -> None:
    assert everything
    only_wam = {"node_names": ["wam.train_world_model"]}
    run("world_model", params={"seed": 2}, **only_wam)
    with pytest.raises(ProvenanceError, match=r"different versions of wam.world_model"):
        run(namespaces=["wam.open_drawer"])
    run("world_model", **only_wam)  # the same model again: the same digest, nothing is stale
    run(namespaces=["wam.open_drawer"])


def test_results_do_not_depend_on_when_they_were_made(
    place: Path, run: Run, everything: dict[str, Any]
) -> None:
    assert everything
    run("behavior_cloning", namespaces=["diwa.open_drawer"])
    digests = [
        json.loads(path.read_text())["digest"]
        for path in (place / "data/06_models/diwa/open_drawer/cloned_policy").glob("*/record.json")
    ]
    assert len(digests) == 2
    assert digests[0] == digests[1]


def test_a_killed_run_goes_on(place: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in mid-training, the world model continues from its checkpoint and ends with the same bits."""
    for name in ("01_raw", "03_primary"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(place / "data" / name)
    from wam.world_model.train import WorldModelObjective

    whole, steps = WorldModelObjective.loss, []

    def loss_then_kill(self: WorldModelObjective, step: int) -> Any:
        steps.append(step)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return whole(self, step)

    monkeypatch.setattr(WorldModelObjective, "loss", loss_then_kill)
    only_wam = {"node_names": ["wam.train_world_model"], "root": tmp_path}
    no_validation = {"world_model_training": {"validation_batches": 0}}
    with pytest.raises((KeyboardInterrupt, InterruptedRunError)):
        run("world_model", params=no_validation, **only_wam)
    assert list((tmp_path / "data/.work").iterdir())
    run("world_model", params=no_validation, only_missing_outputs=True, **only_wam)
    assert steps == [0, 1, 2, 3, 4, 3, 4, 5, *[0, 1, 2]]  # and then the second part
    assert list((tmp_path / "data/.work").iterdir()) == []


def test_wrong_parameters_stop_before_work(run: Run, tmp_path: Path) -> None:
    with pytest.raises(WrongParametersError, match=r"wrold_model .did you mean world_model"):
        run("play", params={"wrold_model": {"batch": 2}}, root=tmp_path)
    assert not (tmp_path / "data").exists()


def _latest_table(place: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(max((place / "data" / name).glob("*/*.parquet")))
