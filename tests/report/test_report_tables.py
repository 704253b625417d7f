"""Tables and comparisons of the report say what the rows say."""

import numpy as np
import pandas as pd
import pytest

from wam.evaluation.success import MEAN_ROW, success_table
from wam.report.cells import cells_of
from wam.report.comparisons import comparison_pairs, differences, imagined_beside_real
from wam.report.labels import PolicyName, ordered_policies, policy_key, task_title
from wam.report.published import PUBLISHED
from wam.report.tables import differences_html, plain_html, published_html, success_html, success_markdown
from wam.tasks.table import TASK_NAMES


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Four starts a task: WAM solves three, DiWA two, the proprio-only control one."""
    parts = []
    for policy, solved in {"wam.cloned": 3, "diwa.cloned": 2, "proprio": 1}.items():
        for task in TASK_NAMES:
            success = np.arange(4) < solved
            parts.append(
                pd.DataFrame(
                    {"task": task, "policy": policy, "start": range(4), "success": success, "steps": 9}
                )
            )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def success(rows: pd.DataFrame) -> pd.DataFrame:
    return success_table(rows)


def test_cells_hold_counts_and_rates(success: pd.DataFrame) -> None:
    cell = cells_of(success)["wam.cloned", "open_drawer"]
    assert (cell.successes, cell.trials, cell.rate) == (3, 4, 0.75)
    assert cell.low < 0.75 < cell.high


def test_markdown_has_a_row_for_every_task_and_the_mean(success: pd.DataFrame) -> None:
    lines = [line for line in success_markdown(success).splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(TASK_NAMES) + 1
    assert "3/4 = 75 %" in lines[2]
    assert len({line.count("|") for line in lines}) == 1


def test_markdown_marks_published_numbers_as_another_data_set(success: pd.DataFrame) -> None:
    text = success_markdown(success)
    assert "CALVIN D, another data set" in text
    assert "96.7 %" in text


def test_html_groups_world_models_before_controls(success: pd.DataFrame) -> None:
    page = success_html(success)
    assert page.index("WAM cloning") < page.index("DiWA cloning") < page.index("proprio-only cloning")
    assert "another data set" in published_html(success)
    assert "proprio-only" not in published_html(success)


def test_missing_cells_say_so(success: pd.DataFrame) -> None:
    partial = success[~((success["policy"] == "diwa.cloned") & (success["task"] == "open_drawer"))]
    assert "n/a" in success_html(partial)


def test_published_columns_average_to_the_papers_means() -> None:
    means = [round(column.mean, 1) for column in PUBLISHED]
    assert means == [55.2, 45.8, 61.7, 83.7, 92.9]
    assert all(set(column.percent) == set(TASK_NAMES) for column in PUBLISHED)


def test_paired_differences_compare_the_same_starts(rows: pd.DataFrame) -> None:
    table = differences(rows, seed=0).set_index(["policy", "baseline"])
    assert table.loc[("wam.cloned", "proprio"), "difference"] == pytest.approx(0.5)
    assert table.loc[("wam.cloned", "diwa.cloned"), "difference"] == pytest.approx(0.25)
    assert table.loc[("wam.cloned", "proprio"), "starts"] == 4 * len(TASK_NAMES)
    assert "+50.0" in differences_html(table.reset_index())


def test_refined_policies_are_compared_with_what_they_started_from() -> None:
    pairs = list(comparison_pairs({"wam.cloned", "wam.selected", "diwa.cloned", "expert"}))
    assert ("wam.selected", "wam.cloned") in pairs
    assert not any("expert" in pair for pair in pairs)


def test_imagined_and_real_success_are_averaged_over_tasks() -> None:
    curves = pd.DataFrame(
        {
            "world_model": "wam",
            "stage": "ppo",
            "task": ["a", "b", "a"],
            "step": [1, 1, 0],
            "name": ["imagined_success", "imagined_success", "real_success"],
            "value": [0.5, 1.0, 0.25],
        }
    )
    table = imagined_beside_real(curves)
    assert table["imagined"].tolist()[1] == 0.75
    assert table["real"].tolist()[0] == 0.25
    assert table["tasks"].tolist() == [2, 2]


def test_without_ppo_there_is_nothing_to_compare() -> None:
    assert imagined_beside_real(pd.DataFrame({"stage": [], "name": []})).empty


def test_policies_are_ordered_and_titled() -> None:
    keys = ["random", "diwa.cloned", "wam.selected", "expert", "wam.cloned"]
    assert ordered_policies(keys) == ["wam.cloned", "wam.selected", "diwa.cloned", "expert", "random"]
    assert PolicyName.parse("wam.finetuned").title == "WAM PPO, last"
    assert policy_key("expert", "expert") == "expert"
    assert policy_key("wam", "cloned") == "wam.cloned"
    assert task_title("turn_on_led") == "turn on LED"


def test_plain_tables_escape_their_text() -> None:
    assert "&lt;b&gt;" in plain_html(pd.DataFrame({"x": ["<b>"]}))


def test_mean_row_is_last(success: pd.DataFrame) -> None:
    assert success_markdown(success).splitlines()[2 + len(TASK_NAMES)].startswith(f"| {MEAN_ROW}")
