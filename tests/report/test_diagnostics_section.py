"""The section on why policies fail: a verdict in words, tables that say what the figures say, or a note."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wam.diagnostics import detection
from wam.diagnostics.calibration import IMAGINED, REAL, calibration_table, summarise
from wam.diagnostics.config import ToleranceConfig
from wam.diagnostics.drift import STARTS
from wam.diagnostics.events import COLUMNS
from wam.diagnostics.probes import FEATURES, PROPRIO, score_probes
from wam.diagnostics.quantities import quantities
from wam.evaluation.success import success_table
from wam.report.cells import cells_of
from wam.report.diagnosis_tables import (
    FAIL,
    PASS,
    Diagnoses,
    calibration_rows,
    detection_rows,
    event_rows,
    obstacle_table,
    probe_rows,
)
from wam.report.diagnostics import diagnostics_html, verdict
from wam.tasks.table import TASK_NAMES

LISTED = quantities()
TOLERANCES = ToleranceConfig(arm=1.5, drawer=2.0, slider=2.0, light=0.95)


def probe_table(error: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    truth = rng.normal(scale=20, size=(40, len(LISTED)))
    for place, quantity in enumerate(LISTED):
        if quantity.is_light:
            truth[:, place] = rng.integers(2, size=40)
    tables = [
        score_probes(
            truth + shift,
            truth,
            constant=np.zeros(len(LISTED)),
            episode=np.arange(40) // 4,
            listed=LISTED,
            tolerances=TOLERANCES,
            reads=reads,
            seed=0,
        )
        for reads, shift in ((FEATURES, error), (PROPRIO, 9.0))
    ]
    return pd.concat(tables, ignore_index=True)


def episodes(imagined: float, real: float, starts: int = 10) -> pd.DataFrame:
    parts = []
    for task in TASK_NAMES:
        for world, rate in ((IMAGINED, imagined), (REAL, real)):
            success = np.arange(starts) < rate * starts
            columns = {"start": range(starts), "repeat": 0, "success": success, "probed": success}
            parts.append(pd.DataFrame({"task": task, "world": world, **columns, "steps": 30}))
    return pd.concat(parts, ignore_index=True)


def detections(believed: float) -> pd.DataFrame:
    lines = [
        (task, judge, kind, 5, 50, 0.5, 0.25, 0.1, 4, 1.0, 6, believed if judge == "readout" else 0.9)
        for task in TASK_NAMES
        for judge in ("classifier", "readout")
        for kind in (detection.SEEN, detection.IMAGINED, detection.POLICY)
    ]
    table = pd.DataFrame(lines, columns=list(detection.COLUMNS))
    return table.assign(decides=table["judge"] == "readout")


def success() -> pd.DataFrame:
    lines = [
        (task, policy, start, start == 0, 5)
        for task in TASK_NAMES
        for policy in ("wam.cloned", "proprio")
        for start in range(2)
    ]
    return success_table(pd.DataFrame(lines, columns=["task", "policy", "start", "success", "steps"]))


@pytest.fixture(scope="module")
def diagnoses() -> Diagnoses:
    drift = pd.DataFrame(
        [
            {"start": start, "quantity": q.name, "is_light": q.is_light, "step": step, "score": 0.5}
            for start in STARTS
            for q in LISTED
            for step in range(3)
        ]
    )
    policy = pd.DataFrame(
        {
            "task": "open_drawer",
            "quantity": [q.name for q in LISTED],
            "is_light": [q.is_light for q in LISTED],
            "frames": 10,
            "missed": 1.0,
        }
    )
    lines = [
        ("drawer", False, 12, 0.75, 4.0, 16.0, 30, 0.1, 1.25),
        ("led", True, 9, 2 / 3, 1 / 3, 1.0, 0, float("nan"), float("nan")),
    ]
    events = pd.DataFrame(lines, columns=list(COLUMNS))
    return Diagnoses(
        probes={"wam": probe_table(3.0), "diwa": probe_table(0.1)},
        policy_probes={"wam": policy},
        drifts={"wam": drift},
        events={"wam": events},
        episodes={"wam": episodes(0.9, 0.3)},
        detections={"wam": detections(0.5)},
    )


def test_without_diagnostics_the_section_says_how_to_get_them() -> None:
    page = diagnostics_html(Diagnoses(), success(), max_gap=0.15, seed=0)
    assert "were not run" in page
    assert "--pipelines diagnostics,reporting" in page


@pytest.mark.slow
def test_the_section_holds_everything_and_fetches_nothing(diagnoses: Diagnoses) -> None:
    page = diagnostics_html(diagnoses, success(), max_gap=0.15, seed=0)
    for text in (
        "cannot be trusted",
        "What stands in the way",
        "What the features know",
        "Do imagined hands move things?",
        "judges of success see",
        "WAM: readout, which decides",
    ):
        assert text in page
    assert page.count("<svg") == 3
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.mark.slow
@pytest.mark.parametrize("part", ["probes", "policy_probes", "drifts", "events", "episodes", "detections"])
def test_any_part_may_be_absent(diagnoses: Diagnoses, part: str) -> None:
    rest = Diagnoses(**{**vars(diagnoses), part: {}})
    assert "What stands in the way" in diagnostics_html(rest, success(), max_gap=0.15, seed=0)


@pytest.mark.parametrize(
    ("imagined", "real", "words"),
    [
        (0.9, 0.3, "cannot be trusted"),
        (0.3, 0.9, "too strict. PPO may gain"),
        (0.4, 0.3, "calibrated well enough"),
    ],
)
def test_the_verdict_follows_the_gap(imagined: float, real: float, words: str) -> None:
    summary = summarise(calibration_table(episodes(imagined, real)), max_gap=0.15, seed=0)
    text = verdict("wam", summary)
    assert words in text
    assert f"lies {100 * abs(imagined - real):.0f} points" in text
    assert "limit 15" in text


def test_an_imagination_that_flatters_some_tasks_is_not_called_strict() -> None:
    gaps = {"mean_absolute_gap": 0.4, "mean_gap": -0.01, "mean_gap_low": -0.1, "mean_gap_high": 0.08}
    text = verdict("wam", gaps | {"chance_gap": 0.1, "max_gap": 0.15, "trusted": 0.0})
    assert "cannot be trusted" in text


def test_what_a_task_turns_on_and_is_not_known_is_named(diagnoses: Diagnoses) -> None:
    table = obstacle_table("wam", diagnoses, cells_of(success()), 0.15).set_index("task")
    assert table.loc["open drawer", "not known well enough"] == (
        "arm x 3.0 cm (1.5 cm), arm y 3.0 cm (1.5 cm), arm z 3.0 cm (1.5 cm), drawer opening 3.0 cm (2.0 cm)"
    )
    assert "LED" in table.loc["turn on LED", "not known well enough"]
    assert table.loc["open drawer", "cloned"] == table.loc["open drawer", "proprio-only cloning"] == "50 %"
    assert table.loc["open drawer", "scripted expert"] == "n/a"
    assert table.loc["open drawer", "failures believed"] == f"50 % of 6 {FAIL}"
    assert table.loc["open drawer", "imagined minus real (points)"].startswith("+60.0 (")
    other = obstacle_table("diwa", diagnoses, cells_of(success()), 0.15).set_index("task")
    assert other.loc["open drawer", "not known well enough"] == "nothing"
    assert other.loc["open drawer", "failures believed"] == "n/a"


def test_a_measured_arm_is_no_obstacle(diagnoses: Diagnoses) -> None:
    shown = replace(diagnoses, arm_measured=True)
    table = obstacle_table("wam", shown, cells_of(success()), 0.15).set_index("task")
    assert table.loc["open drawer", "not known well enough"] == "drawer opening 3.0 cm (2.0 cm)"


def test_probes_stand_beside_guess_and_proprioception(diagnoses: Diagnoses) -> None:
    table = probe_rows(diagnoses).set_index("quantity")
    assert table.loc["drawer opening", "pass mark"] == "2.0 cm"
    assert table.loc["drawer opening", "proprioception"] == "9.0 cm"
    assert table.loc["drawer opening", "WAM"] == f"{FAIL} 3.0 cm (0.1 cm)"
    assert table.loc["drawer opening", "DiWA"] == f"{PASS} 0.1 cm (n/a)"
    assert table.loc["LED", "WAM"].endswith("(90 %)")


def test_what_imagined_hands_move_stands_beside_what_moves_by_itself(diagnoses: Diagnoses) -> None:
    table = event_rows(diagnoses).set_index("thing")
    assert list(table.index) == ["drawer opening (12, 30)", "LED (9, 0)"]
    drawer, led = table.iloc[0], table.iloc[1]
    assert drawer.tolist() == ["75 % of the way, 4.0 cm off", "10 %, drifts 1.2 cm"]
    assert led.tolist() == ["67 %", "n/a"]


def test_calibration_and_classifiers_are_shown_by_task(diagnoses: Diagnoses) -> None:
    calibration = calibration_rows(diagnoses.episodes["wam"]).set_index("task").loc["open drawer"]
    assert calibration["real"] == "30 % of 10"
    assert calibration["gap (points)"] == "+60.0"
    found = diagnoses.detections["wam"]
    classifiers = detection_rows(found[found["judge"] == "classifier"]).set_index("task").loc["open drawer"]
    assert classifiers["the policy's own"] == "0.50 / 0.25"
