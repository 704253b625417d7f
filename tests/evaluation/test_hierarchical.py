"""Intervals over seeds, then starts, against slow references and in simulation."""

import numpy as np
import pandas as pd
import pytest

from wam.evaluation.hierarchical import (
    Estimate,
    bootstrap_bounds,
    differences_by_task,
    estimates,
    finding,
    hierarchical_interval,
    of_these_trainings,
    outcomes,
    seed_stretch,
    student_quantile,
)
from wam.evaluation.success import mean_rate_interval, wilson_interval


@pytest.mark.parametrize(
    ("freedom", "want"), [(1, 12.7062), (2, 4.30265), (4, 2.77645), (9, 2.26216), (1000, 1.96234)]
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, want: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(want, rel=1e-4)


def test_the_stretch_vanishes_with_many_seeds() -> None:
    assert seed_stretch(1) == 1.0
    assert seed_stretch(3) == pytest.approx(4.30265 / 1.95996 * np.sqrt(1.5), rel=1e-4)
    assert seed_stretch(1000) == pytest.approx(1.0, abs=0.01)


def slowly(values: list[np.ndarray], draws: int) -> tuple[float, float]:
    """The same bootstrap as sentences: draw seeds, draw starts, average, stretch the seeds' part."""
    rng = np.random.default_rng(5)
    seeds = len(values[0])
    by_seed = [np.mean([task[s].mean() for task in values]) for s in range(seeds)]
    means = []
    for _ in range(draws):
        drawn_seeds = rng.integers(seeds, size=seeds)
        tasks = []
        for task in values:
            starts = rng.integers(task.shape[1], size=task.shape[1])
            tasks.append(np.mean([[task[s, n] for n in starts] for s in drawn_seeds]))
        of_seeds = np.mean([by_seed[s] for s in drawn_seeds]) - np.mean(by_seed)
        means.append(np.mean(tasks) + (seed_stretch(seeds) - 1) * of_seeds)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.slow
def test_it_agrees_with_a_slow_reference() -> None:
    rng = np.random.default_rng(0)
    values = [rng.integers(-1, 2, (4, n)).astype(float) for n in (5, 9)]
    found = hierarchical_interval(values, seed=0)
    bounds = bootstrap_bounds(values, seed=0, confidence=0.95, draws=10_000)
    assert bounds == pytest.approx(slowly(values, 4000), abs=0.03)
    assert found.low <= bounds[0] < bounds[1] <= found.high
    assert found.value == pytest.approx(np.mean([task.mean() for task in values]))
    assert (found.seeds, found.starts) == (4, 14)


def test_with_one_seed_it_is_the_bootstrap_over_starts() -> None:
    values = [np.random.default_rng(1).integers(0, 2, (1, 29)).astype(float) for _ in range(8)]
    found = bootstrap_bounds(values, seed=0, confidence=0.95, draws=10_000)
    error = np.sqrt(sum(task.var() / task.size for task in values)) / len(values)
    mean = np.mean([task.mean() for task in values])
    assert found == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.01)
    assert bootstrap_bounds(values, seed=0, confidence=0.95, draws=10_000) == found


def test_the_mean_is_over_tasks_not_starts() -> None:
    assert hierarchical_interval([np.ones((1, 2)), np.zeros((1, 20))], seed=0).value == 0.5


def test_episodes_that_all_end_alike_prove_no_equality() -> None:
    equal = hierarchical_interval([np.zeros((3, 29))] * 8, seed=0)
    above = wilson_interval(0, 29)[1] * np.sqrt(2 / 8)  # gains and losses, eight tasks
    assert (equal.low, equal.high) == pytest.approx((-above / np.sqrt(2), above / np.sqrt(2)))
    assert 0.05 < equal.smallest_seen < 0.07
    perfect = hierarchical_interval([np.ones((3, 29))] * 8, seed=0, signed=False)
    assert (perfect.low, perfect.high) == pytest.approx(mean_rate_interval([(29, 29)] * 8)[1:])


def test_a_handful_of_gains_without_a_loss_is_no_proof() -> None:
    """McNemar's exact test gives p = 0.06 for five gains of 232 and no loss."""
    values = [np.zeros((1, 29)) for _ in range(8)]
    for task in values[:5]:
        task[0, 0] = 1.0
    assert finding(hierarchical_interval(values, seed=0)) == "no difference shown"


def test_seeds_that_disagree_widen_what_starts_alone_would_show() -> None:
    agreeing = [np.tile([[0.0, 1.0]], (3, 15))]
    disagreeing = [np.repeat([[0.0], [0.5], [1.0]], 30, axis=1)]
    narrow, wide = (hierarchical_interval(v, seed=0) for v in (agreeing, disagreeing))
    assert narrow.value == wide.value == 0.5
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_of_these_trainings_seeds_that_disagree_widen_nothing() -> None:
    """Where each start gains as much on the mean nothing is left to chance; of new seeds everything is."""
    values = [np.stack([np.ones(29), np.zeros(29), np.ones(29)])]
    low, high = of_these_trainings(values, seed=0)
    assert low == pytest.approx(
        2 / 3 - np.hypot(2 / 3 - wilson_interval(58, 87)[0], wilson_interval(0, 87)[1])
    )
    assert 0.5 < low < 2 / 3 < high < 0.8
    assert hierarchical_interval(values, seed=0).low < 0
    mixed = [np.repeat(np.random.default_rng(4).integers(-1, 2, (1, 29)).astype(float), 2, axis=0)]
    alone = [task.mean(axis=0)[None] for task in mixed]
    assert of_these_trainings(mixed, seed=0) == pytest.approx(slowly(alone, 4000), abs=0.03)


def test_of_these_trainings_a_handful_of_gains_is_no_proof_either() -> None:
    """Four gains of 696 episodes and no loss: a sign test gives p = 0.13."""
    values = [np.zeros((3, 29)) for _ in range(8)]
    for task in values[:4]:
        task[0, 0] = 1.0
    low, high = of_these_trainings(values, seed=0)
    assert low < 0 < high


@pytest.mark.parametrize("seed_deviation", [0.0, 0.2])
def test_intervals_of_three_seeds_cover_the_truth(seed_deviation: float) -> None:
    """Two settings that do not differ: at least 95 of 100 intervals must hold 0 (here 120, 4 tasks)."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(120):
        start = rng.uniform(0.1, 0.9, (1, 4, 15))
        rates = [start + rng.normal(0, seed_deviation, (3, 4, 1)) for _ in range(2)]
        first, second = (rng.uniform(size=(3, 4, 15)) < rate for rate in rates)
        difference = first.astype(float) - second
        found = hierarchical_interval(list(difference.transpose(1, 0, 2)), seed=0, draws=200)
        covered.append(not found.differs)
    assert np.mean(covered) >= 0.93


def test_the_smallest_effect_is_seen_with_the_chance_it_says() -> None:
    rng = np.random.default_rng(3)
    width = 2 * 1.96 * 0.1
    smallest = Estimate(0.0, -width / 2, width / 2, 9, 9).smallest_seen
    seen = rng.normal(smallest, 0.1, 4000) > width / 2
    assert seen.mean() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("low", "high", "seeds", "words"),
    [
        (-0.1, 0.2, 3, "no difference shown"),
        (0.0, 0.2, 3, "no difference shown"),
        (0.05, 0.2, 3, "higher"),
        (-0.2, -0.1, 3, "lower"),
        (-0.2, -0.1, 1, "lower for this one seed"),
        (-0.2, 0.1, 1, "no difference shown"),
    ],
)
def test_words_say_no_more_than_the_interval(low: float, high: float, seeds: int, words: str) -> None:
    assert finding(Estimate((low + high) / 2, low, high, seeds, 29)) == words


def rows_of(outcome: np.ndarray, seeds: tuple[int, ...]) -> pd.DataFrame:
    """Evaluation rows of ``outcome`` (seeds, tasks, starts)."""
    lines = [
        (seed, f"task {task}", start, bool(outcome[s, task, start]))
        for s, seed in enumerate(seeds)
        for task in range(outcome.shape[1])
        for start in range(outcome.shape[2])
    ]
    return pd.DataFrame(lines, columns=["seed", "task", "start", "success"])


def test_common_seeds_are_paired_start_by_start() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.integers(0, 2, (3, 2, 5)), rng.integers(0, 2, (2, 2, 5))
    found = differences_by_task(
        rows_of(first, (1, 2, 3)).sample(frac=1.0, random_state=0), rows_of(second, (3, 1))
    )
    want = np.stack([first[0] - second[1], first[2] - second[0]])
    assert list(found) == list(estimates(found, seed=0))[:-1]
    for number in range(2):
        np.testing.assert_array_equal(found[f"task {number}"], want[:, number])


def test_what_cannot_be_paired_is_refused() -> None:
    outcome = np.ones((1, 1, 3))
    with pytest.raises(ValueError, match="same starts"):
        differences_by_task(rows_of(outcome, (1,)), rows_of(outcome, (2,)))
    with pytest.raises(ValueError, match="same starts"):
        differences_by_task(rows_of(outcome, (1,)), rows_of(outcome[..., :2], (1,)))
    with pytest.raises(ValueError, match="once from the same starts"):
        outcomes(pd.concat([rows_of(outcome, (1,))] * 2))
    with pytest.raises(ValueError, match="same seeds"):
        hierarchical_interval([np.ones((2, 3)), np.ones((1, 3))], seed=0)


def test_tasks_of_other_seeds_are_refused() -> None:
    """Rows of the arrays are drawn for all tasks at once: row s must be the same seed in each."""
    ours = [rows_of_seed(1, "a"), rows_of_seed(2, "a"), rows_of_seed(2, "b"), rows_of_seed(3, "b")]
    rows = pd.concat(ours, ignore_index=True)
    with pytest.raises(ValueError, match=r"b: seeds \[2, 3\], other tasks have \[1, 2\]"):
        differences_by_task(rows, rows)


def rows_of_seed(seed: int, task: str) -> pd.DataFrame:
    return pd.DataFrame({"seed": seed, "task": task, "start": range(3), "success": [True, False, True]})
