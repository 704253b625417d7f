import numpy as np
import pandas as pd
import pytest

from wam.evaluation.rollout import RolloutResult
from wam.evaluation.success import (
    evaluation_rows,
    mean_rate_interval,
    success_table,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 29, 0.0, 0.1170), (29, 29, 0.8830, 1.0), (15, 29, 0.3444, 0.6861), (1, 1, 0.2065, 1.0)],
)
def test_wilson_reference_values(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, trials)


def rows_of(**outcomes):
    """One task per index, ``policy=[[...], [...]]``."""
    parts = []
    for policy, tasks in outcomes.items():
        for number, success in enumerate(tasks):
            result = RolloutResult(np.array(success, bool), np.arange(len(success)))
            parts.append(evaluation_rows(result, task=f"task {number}", policy=policy))
    return pd.concat(parts, ignore_index=True)


def test_the_interval_of_one_rate_is_its_own_and_a_mean_of_many_is_narrower():
    assert mean_rate_interval([(15, 29)]) == pytest.approx((15 / 29, *wilson_interval(15, 29)))
    mean, low, high = mean_rate_interval([(15, 29)] * 8)
    half = [side / np.sqrt(8) for side in np.subtract(wilson_interval(15, 29), 15 / 29)]
    assert (low - mean, high - mean) == pytest.approx(tuple(half))


def test_the_mean_interval_has_a_width_where_everything_succeeds():
    mean, low, high = mean_rate_interval([(29, 29)] * 8)
    assert (mean, high) == (1.0, 1.0)
    assert 0.93 < low < 0.97


def test_the_mean_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = np.array([0.02, 0.2, 0.5, 0.9, 0.99, 0.7, 0.35, 0.6])
    drawn = [mean_rate_interval([(int(k), 29) for k in rng.binomial(29, truth)]) for _ in range(400)]
    covered = np.mean([low <= truth.mean() <= high for _, low, high in drawn])
    assert 0.92 < covered < 0.99


def test_the_table_has_every_task_and_the_mean():
    table = success_table(rows_of(a=[[True, True], [False, True]], b=[[False, False], [False, True]]))
    assert table["task"].tolist() == ["task 0", "task 1", "mean"] * 2
    assert table["rate"].tolist() == [1.0, 0.5, 0.75, 0.0, 0.5, 0.25]
    assert table["successes"].tolist() == [2, 1, 3, 0, 1, 1]
    assert (table["low"] <= table["rate"]).all()
    assert (table["rate"] <= table["high"]).all()
