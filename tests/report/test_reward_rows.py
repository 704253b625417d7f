"""The table of judges of success."""

import pandas as pd

from wam.report.results import reward_rows
from wam.report.tables import MISSING


def test_each_judge_has_a_column_and_the_mean_a_row() -> None:
    rewards = pd.DataFrame(
        {
            "condition": ["wam", "wam", "proprio"],
            "task": ["open_drawer", "turn_on_led", "open_drawer"],
            "precision": [0.5, 1.0, 0.25],
            "recall": [0.8, None, 0.5],
            "decidable_precision": [0.6, 1.0, None],
            "decidable_recall": [0.8, 1.0, None],
            "readout_precision": [0.9, 1.0, None],
            "readout_recall": [0.7, 0.9, None],
        }
    )
    table = reward_rows(rewards).set_index("task")
    assert list(table.columns) == ["WAM classifier", "WAM readout", "proprio-only classifier"]
    assert table.loc["open drawer", "WAM classifier"] == "0.50 / 0.80 (0.60 / 0.80)"
    assert table.loc["turn on LED", "WAM classifier"] == f"1.00 / {MISSING} (1.00 / 1.00)"
    assert table.loc["open drawer", "WAM readout"] == "0.90 / 0.70"
    assert table.loc["mean", "WAM readout"] == "0.95 / 0.80"
    assert table.loc["mean", "proprio-only classifier"].startswith("0.25 / 0.50")
    assert table.loc["close drawer", "WAM readout"] == f"{MISSING} / {MISSING}"


def test_without_a_readout_there_is_no_such_column() -> None:
    rewards = pd.DataFrame(
        {"condition": ["diwa"], "task": ["open_drawer"], "precision": [1.0], "recall": [1.0]}
    )
    assert list(reward_rows(rewards).columns) == ["task", "DiWA classifier"]
