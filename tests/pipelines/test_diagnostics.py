"""What diagnostics gather, and what PPO does with them."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch

from wam.diagnostics.calibration import (
    IMAGINED,
    PRACTICE,
    REAL,
    ROW_COLUMNS,
    SELECTION,
    UncalibratedError,
    heed,
)
from wam.diagnostics.config import CalibrationConfig
from wam.diagnostics.detection import COLUMNS, POLICY
from wam.evaluation.success import success_table
from wam.nn.linear_init import fan_in_uniform_
from wam.pipelines.diagnostics.nodes import (
    _has_starts,
    cell_figures,
    collect_calibration,
    collect_tables,
    with_deciding,
)
from wam.pipelines.pages import ReportConfig
from wam.pipelines.ppo.choice import with_known_result
from wam.pipelines.reporting.nodes import diagnose
from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.policy.fine_tuned import FineTunedPolicy
from wam.reward.judge import JUDGES, JudgeKind

NOTHING = pd.DataFrame(columns=list(ROW_COLUMNS))
SHARES = (("classifier", 0.25), ("readout", 0.75))


def page(beyond: Literal["warn", "stop"] = "warn") -> CalibrationConfig:
    return CalibrationConfig(imagined_repeats=1, linger_steps=0, max_gap=0.15, beyond=beyond)


def rows(imagined: int, real: int, starts: int = 10, role: str = SELECTION) -> pd.DataFrame:
    parts = []
    for world, solved in ((IMAGINED, imagined), (REAL, real)):
        success = np.arange(starts) < solved
        columns = {"start": range(starts), "role": role, "repeat": 0, "success": success, "probed": success}
        parts.append(pd.DataFrame({"task": "open_drawer", "world": world, **columns, "steps": range(starts)}))
    return pd.concat(parts, ignore_index=True)[list(ROW_COLUMNS)]


def test_ppo_is_stopped_only_where_the_page_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert heed(rows(10, 1), page(), "open_drawer") == {"calibration_doubted": 1.0}
    assert "promises 90 points more success" in caplog.text
    with pytest.raises(UncalibratedError, match=r"set calibration\.beyond to warn"):
        heed(rows(10, 1), page("stop"), "open_drawer")


def test_a_gap_that_may_be_chance_stops_nothing() -> None:
    assert heed(rows(6, 4), page("stop"), "open_drawer") == {"calibration_doubted": 0.0}


def test_without_selection_starts_nothing_is_claimed() -> None:
    assert heed(NOTHING, page("stop"), "open_drawer") == {}
    whole, summary = collect_calibration(page(), 0, NOTHING, NOTHING)
    assert whole.empty
    assert summary == {"stage": "diagnostics", "task": "all"}


@pytest.mark.parametrize("deciding", JUDGES)
def test_figures_of_the_judge_that_decides_have_plain_names(deciding: JudgeKind) -> None:
    lines = [
        ("open_drawer", judge, POLICY, 1, 1, share, 1.0, 0.0, 1, 1.0, 1, share) for judge, share in SHARES
    ]
    found = with_deciding(pd.DataFrame(lines, columns=list(COLUMNS)), deciding)
    got = cell_figures(rows(6, 4), found, "open_drawer")
    (other,) = set(JUDGES) - {deciding}
    assert got["policy_precision"] == got["policy_failed_believed"] == dict(SHARES)[deciding]
    assert got[f"{other}_policy_precision"] == dict(SHARES)[other]
    assert f"{deciding}_policy_precision" not in got


def test_held_out_starts_are_never_taken() -> None:
    starts = pd.DataFrame({"task": ["open_drawer", "close_drawer"], "role": ["test", "selection"]})
    assert not _has_starts(starts, "open_drawer")
    assert _has_starts(starts, "close_drawer")


def test_tasks_are_gathered_into_one_verdict() -> None:
    whole, summary = collect_calibration(
        page(), 0, rows(10, 1), NOTHING, rows(3, 1).assign(task="close_drawer")
    )
    assert len(whole) == 40
    assert summary["mean_absolute_gap"] == pytest.approx(0.55)
    assert summary["trusted"] == 0.0
    assert len(collect_tables(NOTHING, rows(1, 1))) == 20
    assert collect_tables(NOTHING, NOTHING).empty


@pytest.fixture
def cloned() -> DiffusionPolicy:
    policy = DiffusionPolicy(4, DiffusionConfig(hidden=16, denoising_steps=5, standardize_condition=False))
    fan_in_uniform_(policy, 0)
    return policy.eval()


def test_the_unchanged_policy_is_not_evaluated_again(cloned: DiffusionPolicy) -> None:
    asked: list[Any] = []

    def evaluate(policy: Any) -> dict[str, float]:
        asked.append(policy)
        return {"success": 0.5, "steps": 1.0}

    practised = rows(0, 9, role=PRACTICE)  # of which the evaluator runs none
    known = with_known_result(evaluate, cloned, pd.concat([rows(0, 3), practised]))
    assert known(FineTunedPolicy(cloned, cloned, 2)) == {"success": 0.3, "steps": 4.5}
    assert asked == []
    trained = DiffusionPolicy.from_checkpoint(cloned.to_checkpoint())
    with torch.no_grad():
        next(trained.parameters()).add_(1.0)
    assert known(FineTunedPolicy(cloned, trained, 2))["success"] == 0.5
    assert with_known_result(evaluate, cloned, NOTHING)(FineTunedPolicy(cloned, cloned, 2))["success"] == 0.5
    assert len(asked) == 2


def test_the_report_takes_whatever_was_diagnosed() -> None:
    lines = [("open_drawer", "wam.cloned", 0, True, 5)]
    success = success_table(pd.DataFrame(lines, columns=["task", "policy", "start", "success", "steps"]))
    report = ReportConfig(title="t", data_set="d", bootstrap_seed=0, videos_per_task=0)
    seen = DiffusionConfig(hidden=8, standardize_condition=False)
    nothing = [None] * 12
    assert "were not run" in diagnose(page(), seen, report, success, *nothing)
    tables: list[pd.DataFrame | None] = [*nothing[:8], rows(10, 1), NOTHING, *nothing[:2]]
    assert "WAM: PPO in this imagination cannot be trusted" in diagnose(
        page(), seen, report, success, *tables
    )
