"""Curves and held-out episodes of policies refined in the simulator, as one table and one page."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wam.pipelines.online.nodes import CELLS, compare_online, trace_online
from wam.pipelines.pages import EvaluationConfig, ReportConfig, TaskRow
from wam.report.online import online_lines, text_table
from wam.rl.config import OnlineConfig

TASK = "open_drawer"
ONLINE = OnlineConfig(iterations=4, envs=10, episodes_per_iteration=1, eval_every=2)
EVALUATION = EvaluationConfig(start_repeats=1, videos=0)


def curves(**series: dict[int, float]) -> pd.DataFrame:
    lines = [(step, name, value) for name, points in series.items() for step, value in points.items()]
    return pd.DataFrame(lines, columns=["step", "name", "value"])


def episodes(**solved: int) -> pd.DataFrame:
    lines = [(TASK, policy, i, i < count, 9) for policy, count in solved.items() for i in range(29)]
    return pd.DataFrame(lines, columns=["task", "policy", "start", "success", "steps"])


def trace(config: EvaluationConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    practised = curves(
        first_success={1: 0.3, 2: 0.4, 3: 0.6, 4: 0.7},
        real_steps={1: 700.0, 2: 1300.0, 3: 1800.0, 4: 2200.0},
        real_success={0: 0.4, 2: 0.5, 4: 0.8},
    )
    imagined = curves(real_success={0: 0.4, 6: 0.5}, imagined_success={1: 0.9})
    starts = pd.DataFrame({"task": [TASK] * 39, "role": ["selection"] * 10 + ["test"] * 29})
    evaluation = episodes(cloned=10, finetuned=12, selected=11)
    return trace_online(
        practised, imagined, evaluation, episodes(online=24), starts, TaskRow(name=TASK), ONLINE, config
    )


@pytest.fixture
def traced() -> tuple[pd.DataFrame, pd.DataFrame]:
    return trace(EVALUATION)


def test_success_stands_at_the_steps_that_were_learned_from(traced):
    points, _ = traced
    practice = points[points["starts"] == "practice"]
    assert practice[["real_steps", "rate"]].values.tolist() == [
        [0, 0.3],
        [700, 0.4],
        [1300, 0.6],
        [1800, 0.7],
    ]
    assert set(practice["trials"]) == {10}
    chosen = points[(points["starts"] == "selection") & (points["policy"] == "online")]
    assert chosen[["real_steps", "rate"]].values.tolist() == [[0, 0.4], [1300, 0.5], [2200, 0.8]]
    lines = points[points["policy"] != "online"].set_index("policy")
    assert lines["rate"].to_dict() == {"cloned": 0.4, "finetuned": 0.5}
    assert (lines["real_steps"] == 0).all()


def test_practice_alone_will_do():
    practised = curves(first_success={1: 0.3, 2: 0.4}, real_steps={1: 700.0, 2: 1300.0})
    nothing = curves(imagined_success={1: 0.9})
    starts = pd.DataFrame({"task": [TASK] * 29, "role": ["test"] * 29})
    both = episodes(cloned=10, finetuned=12), episodes(online=24)
    points, rows = trace_online(practised, nothing, *both, starts, TaskRow(name=TASK), ONLINE, EVALUATION)
    assert points[["starts", "real_steps"]].values.tolist() == [["practice", 0], ["practice", 700]]
    line = online_lines(points.assign(world_model="wam"), rows.assign(world_model="wam"), seed=0).iloc[0]
    assert np.isnan(line["steps_to_match"])


def test_what_was_measured_on_test_starts_is_not_called_selection():
    points, rows = trace(replace(EVALUATION, checkpoints_on="test"))
    assert set(points["starts"]) == {"practice"}
    assert set(rows["policy"]) == {"cloned", "finetuned", "online"}


def test_a_line_tells_counts_difference_and_steps_to_match(traced):
    points, rows = (part.assign(world_model="wam") for part in traced)
    line = online_lines(points, rows, seed=0).iloc[0]
    assert (line["cloned"], line["finetuned"], line["online"], line["starts"]) == (10, 12, 24, 29)
    assert line["difference"] == pytest.approx(12 / 29)
    assert 0 < line["low"] < line["difference"] < line["high"]
    assert line["steps_to_match"] == 1300
    assert line["real_steps"] == 2200
    shown = text_table(pd.DataFrame([line])).iloc[0]
    assert shown["PPO in the simulator"].startswith("24/29 [")
    assert shown["real steps to match"] == "1,300"


def test_several_tasks_of_a_world_model_are_summed_up(traced):
    points, rows = (part.assign(world_model="wam") for part in traced)
    worse = rows.assign(task="close_drawer", success=rows["success"] & (rows["start"] < 20))
    both = pd.concat([points, points.assign(task="close_drawer")]), pd.concat([rows, worse])
    last = online_lines(*both, seed=0).iloc[-1]
    assert (last["task"], last["starts"], last["real_steps"]) == ("mean", 58, 4400)
    assert (last["cloned"], last["finetuned"], last["online"]) == (20, 24, 44)
    assert last["difference"] == pytest.approx(20 / 58)
    assert last["low"] > 0
    assert np.isnan(last["steps_to_match"])


def test_what_practice_never_reached_is_missing(traced):
    points, rows = (part.assign(world_model="wam") for part in traced)
    points.loc[points["policy"] == "finetuned", "rate"] = 0.9
    line = online_lines(points, rows, seed=0).iloc[0]
    assert np.isnan(line["steps_to_match"])
    assert text_table(pd.DataFrame([line])).iloc[0]["real steps to match"] == "n/a"


REPORT = ReportConfig(title="T", data_set="D", bootstrap_seed=0, videos_per_task=0)


def compared(points: pd.DataFrame, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str, str]:
    """All cells, of which one was run."""
    place = CELLS.index(("wam", TASK))
    tables = [[part if i == place else None for i in range(len(CELLS))] for part in (points, rows)]
    return compare_online({}, REPORT, 1, *tables[0], *tables[1])


@pytest.mark.parametrize(("on", "seen"), [("selection", True), ("test", False), ("none", False)])
def test_pages_speak_of_selection_starts_where_curves_are_from_them(on, seen):
    _, _, markdown, page = compared(*trace(replace(EVALUATION, checkpoints_on=on)))
    for text in (markdown, page):
        assert ("selection starts first went as well" in text) == seen
        assert ("from selection starts and both lines" in text) == seen
        assert ("without selection starts nothing tells" in text) != seen
        assert ("held-out starts are run once" in text) == seen
    assert ("both from selection starts" in page) == seen
    assert ("Practice alone: no policy was evaluated" in page) != seen
    assert ("PPO in the simulator, selection starts" in page) == seen


def test_the_page_shows_the_cells_that_were_run(traced):
    points, lines, markdown, page = compared(*traced)
    assert set(points["world_model"]) == {"wam"}
    assert len(lines) == 1
    assert "| WAM | open drawer | 10/29" in markdown
    assert "<svg" in page
    assert 'src="http' not in page
    with pytest.raises(ValueError, match="--pipelines online"):
        compare_online({}, REPORT, 1, *[None] * (2 * len(CELLS)))
