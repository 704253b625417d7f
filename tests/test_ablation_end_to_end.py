"""An ablation at toy size: two rows with two seeds, killed, resumed, and joined by a third row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from wam.runner import ConcurrentRunner, InterruptedRunError
from wam.tasks.table import TASK_NAMES
from wam.world_model.train import WorldModelObjective

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

CELLS = ("wam-s1", "wam-s2", "diwa-s1", "diwa-s2")
STEPS = 6 + 3
"""World-model steps of a cell in the environment smoke, both parts; the first has a checkpoint half way."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """``run(*pipelines, **parameters)``: what a command with ``--only-missing-outputs`` does."""
    place = tmp_path_factory.mktemp("ablation")
    bootstrap_project(ROOT)

    def run_one(
        *pipelines: str, tags: tuple[str, ...] = (), companions: bool = False, **params: Any
    ) -> dict[str, Any]:
        runtime_params = {
            "data_root": str(place),
            "mlflow_uri": f"sqlite:///{place / 'mlflow.db'}",
            "mlflow_artifacts": str(place / "mlartifacts"),
            "world_model_training": {"validation_batches": 0},
            **params,
        }
        with KedroSession.create(ROOT, env="smoke", runtime_params=runtime_params) as session:
            outputs: dict[str, Any] = session.run(
                pipeline_names=list(pipelines),
                tags=tags,
                only_missing_outputs=True,
                runner=ConcurrentRunner(max_workers=2, companions=companions),
            )
        return outputs

    run_one.place = place  # type: ignore[attr-defined]
    return run_one


def versions(place: Path) -> dict[str, set[str]]:
    """Every version of what cells keep, by folder."""
    found: dict[str, set[str]] = {}
    for record in place.glob("0[67]_*/*-s*/**/record.json"):
        found.setdefault(str(record.parents[1].relative_to(place)), set()).add(record.parent.name)
    return found


def test_it_is_killed_goes_on_and_takes_a_new_row(
    run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Path = run.place  # type: ignore[attr-defined]
    run("play", "ingest")
    whole, calls = WorldModelObjective.loss, []

    def loss_then_kill(self: WorldModelObjective, step: int) -> Any:
        calls.append(step)
        if len(calls) == 2 * STEPS + 5:  # two world models are finished, others have begun
            raise KeyboardInterrupt
        return whole(self, step)

    monkeypatch.setattr(WorldModelObjective, "loss", loss_then_kill)
    with pytest.raises((KeyboardInterrupt, InterruptedRunError)):
        run("ablation", tags=("verdict",))
    assert list((place / ".work").iterdir())
    before = versions(place)
    finished = {name for name in before if name.endswith("/world_model")}
    assert finished

    run("ablation", tags=("verdict",))
    after = versions(place)
    assert list((place / ".work").iterdir()) == []
    assert {f"06_models/{cell}/world_model" for cell in CELLS} <= after.keys()
    assert all(len(found) == 1 for found in after.values())
    assert len(calls) <= len(CELLS) * STEPS + 2 * STEPS  # none of the finished ones was trained again
    page = latest(place, "ablation.html").read_text()
    assert "Does an inverse-dynamics head help?" in page
    assert "Not run yet: action_10" in page
    table = pd.read_parquet(latest(place, "differences.parquet"))
    verdict = table[table["question"] == "verdict"]
    assert set(verdict["task"]) == {*TASK_NAMES, "mean"}
    assert set(verdict["seeds"]) == {2}

    more = {"rows": {"new": {"of": "wam", "seeds": ["s1"], "action_coef": 5.0}}}
    more |= {"questions": {"verdict": {"rows": ["wam", "new"]}}}
    calls.clear()
    calls.extend([0] * 100)  # never killed again
    run("ablation", tags=("verdict",), ablation=more)
    grown = versions(place)
    assert {name: grown[name] for name in after} == after
    assert {name.split("/")[1] for name in grown.keys() - after.keys()} == {"new-s1"}
    assert len(calls) == 100 + STEPS
    assert pd.read_parquet(latest(place, "hours.parquet"))["row"].tolist() == ["wam", "diwa", "new"]

    run("ablation", tags=("wam_numbers",), ablation=more)
    assert len(calls) == 100 + STEPS  # it has the world model of another row
    table = pd.read_parquet(latest(place, "differences.parquet"))
    assert set(table[table["question"] == "sight"]["row"]) == {"wam_numbers"}
    assert versions(place)["06_models/wam-s1/world_model"] == after["06_models/wam-s1/world_model"]


def test_policies_of_few_demonstrations_are_refined_and_chosen_in_imagination(
    run: Callable[..., dict[str, Any]],
) -> None:
    """As the command line does it, with processes beside the threads."""
    place: Path = run.place  # type: ignore[attr-defined]
    run("play", "ingest")
    run("ablation", tags=("demos_5",), companions=True)
    table = pd.read_parquet(latest(place, "differences.parquet"))
    refined = table[(table["question"] == "refinement") & (table["row"] == "demos_5")]
    assert set(refined["task"]) == {*TASK_NAMES, "mean"}
    curves = pd.concat(
        pd.read_parquet(file) for file in place.rglob("demos_5-s1/*/ppo_curves.parquet/*/*.parquet")
    )
    assert set(curves[curves["name"] == "acting_success"]["step"]) == {0, 1, 2}
    assert "real_success" not in set(curves["name"])


def latest(place: Path, name: str) -> Path:
    """The newest version of a table or page of the ablation."""
    return max((place / "08_reporting/ablation" / name).glob(f"*/{name}"))
