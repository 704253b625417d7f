"""What the reporting stage makes of evaluation rows, apart from the page."""

import pandas as pd
import pytest

from wam.pipelines.grid import CONDITIONS
from wam.pipelines.reporting.nodes import average_success, compare_success


def episodes(policy: str, **outcomes: list[bool]) -> pd.DataFrame:
    """Evaluation rows: the outcome of every start, by task."""
    rows = [
        {"task": task, "policy": policy, "start": start, "success": success, "steps": 3}
        for task, successes in outcomes.items()
        for start, success in enumerate(successes)
    ]
    return pd.DataFrame(rows)


def test_a_runs_headline_weighs_tasks_alike() -> None:
    """However many starts each of them has."""
    results = {
        "wam": episodes("cloned", open_drawer=[True, False], turn_on_led=[True] * 4),
        "expert": episodes("expert", open_drawer=[True, True], turn_on_led=[True] * 4),
    }
    _, success, _ = compare_success(*(results.get(condition) for condition in CONDITIONS))
    assert average_success(success) == pytest.approx({"wam.cloned": 0.75, "expert": 1.0})
