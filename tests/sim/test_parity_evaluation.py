"""The same evaluation in two simulators: what the benchmark compares, and that it comes out the same."""

import numpy as np
import pytest

from benchmarks.parity_evaluation import evaluated, recorded_actions, row_of, starts_of
from wam.sim.config import SimConfig

TASKS = ("open_drawer", "turn_off_led")


def recorded(config, count=1):
    return {task: recorded_actions(config, starts_of(config, task, count), task) for task in TASKS}


@pytest.mark.slow
def test_recorded_actions_succeed_and_short_ones_do_not():
    config = SimConfig(layout="fixed")
    found = evaluated(config, recorded(config))
    for task in TASKS:
        assert found[f"{task} success"].tolist() == [True, False]
        assert found[f"{task} steps"][0] < found[f"{task} steps"][1] == 72
        assert found[f"{task} expert success"].tolist() == [True]


def test_a_row_counts_what_differs():
    one = {f"t {kind}{name}": np.array(v) for kind in ("", "expert ") for name, v in RESULT.items()}
    other = one | {"t success": np.array([True, True, False]), "t expert steps": np.array([5, 5, 5])}
    assert list(row_of("t", one, other).values()) == ["t", *OFFICIAL]


RESULT = {"success": [True, False, False], "steps": [3, 72, 72]}
OFFICIAL = ["1 of 3", "2 of 3", "1, 0", "1 of 3", "1 of 3", "0, 3"]


@pytest.mark.slow
def test_the_official_simulator_and_ours_evaluate_alike(calvin_assets, calvin_env_folder):
    shared = {"assets": "calvin", "layout": "fixed", "calvin_data": calvin_assets}
    ours = SimConfig(**shared)
    actions = recorded(ours)
    here = evaluated(ours, actions)
    there = evaluated(SimConfig(backend="calvin", calvin_env=calvin_env_folder, **shared), actions)
    for name, values in here.items():
        np.testing.assert_array_equal(there[name], values, err_msg=name)
    assert 0 < here["open_drawer success"].sum() < len(here["open_drawer success"])
