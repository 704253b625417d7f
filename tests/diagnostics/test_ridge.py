"""Ridge probes against a slow reference, and what they must find in data that hold it, or do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wam.diagnostics.ridge import FLOOR, LinearProbes, fit_probes


def data(rows: int = 60, width: int = 5, *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    scale = np.array([1.0, 30.0, 0.2, 5.0, 0.001])[:width]
    feat = (7 + scale * rng.normal(size=(rows, width))).astype(np.float32)
    return feat, rng.normal(size=(rows, 2))


def slow_ridge(
    feat: NDArray[np.float32], target: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    """Readings of the training rows, by gradient-free augmentation: the penalty as extra rows of data."""
    x = feat.astype(np.float64)
    unit = (x - x.mean(0)) / np.maximum(x.std(0), FLOOR)
    readings = []
    for column in target.T:
        extra = np.sqrt(strength * len(x)) * np.eye(x.shape[1])
        rows = np.concatenate([unit, extra])
        wanted = np.concatenate([column - column.mean(), np.zeros(x.shape[1])])
        readings.append(unit @ np.linalg.lstsq(rows, wanted, rcond=None)[0] + column.mean())
    return np.stack(readings, axis=1)


@pytest.mark.parametrize("pieces", [1, 4])
@pytest.mark.parametrize("strength", [1e-3, 0.3])
def test_it_is_ridge_regression_whatever_the_blocks(strength: float, pieces: int) -> None:
    feat, target = data()
    nothing = np.zeros(len(feat), bool)
    blocks = zip(*(np.array_split(x, pieces) for x in (feat, target, nothing)), strict=True)
    probes = fit_probes(blocks, ["a", "b"], [strength])
    np.testing.assert_allclose(
        probes.read(feat.astype(np.float64)), slow_ridge(feat, target, strength), atol=1e-8
    )
    np.testing.assert_array_equal(probes.constant, np.median(target, axis=0))


def test_a_linear_quantity_is_recovered_exactly() -> None:
    feat, _ = data(rows=200, width=4)
    target = feat.astype(np.float64) @ np.array([[1.0], [-0.2], [3.0], [0.5]]) + 11
    probes = fit_probes([(feat, target, np.zeros(200, bool))], ["a"], [1e-12])
    fresh, _ = data(rows=50, width=4, seed=1)
    truth = fresh.astype(np.float64) @ np.array([[1.0], [-0.2], [3.0], [0.5]]) + 11
    np.testing.assert_allclose(probes.read(fresh.astype(np.float64)), truth, atol=1e-6)


def test_noise_leaves_the_constants_error() -> None:
    rng = np.random.default_rng(0)
    feat, target = rng.normal(size=(2000, 20)).astype(np.float32), rng.normal(size=(2000, 1))
    probes = fit_probes([(feat[:1000], target[:1000], np.arange(1000) % 5 == 4)], ["a"], [0.01, 1.0, 100.0])
    error = np.abs(probes.read(feat[1000:]) - target[1000:]).mean()
    guess = np.abs(probes.constant - target[1000:]).mean()
    assert error == pytest.approx(guess, rel=0.02)
    assert probes.strength[0] == 100.0


def test_the_strength_is_chosen_on_rows_held_back_for_each_quantity() -> None:
    """One target is linear in the inputs, one is noise with as many inputs as rows to overfit."""
    rng = np.random.default_rng(3)
    feat = rng.normal(size=(60, 30)).astype(np.float32)
    target = np.stack([feat[:, 0].astype(np.float64), rng.normal(size=60)], axis=1)
    held_back = np.arange(60) % 3 == 0
    strengths = [1e-6, 30.0]
    chosen = fit_probes([(feat, target, held_back)], ["linear", "noise"], strengths).strength
    errors = []
    for strength in strengths:
        rest = fit_probes(
            [(feat[~held_back], target[~held_back], np.zeros(40, bool))], ["a", "b"], [strength]
        )
        errors.append(((rest.read(feat[held_back]) - target[held_back]) ** 2).mean(axis=0))
    np.testing.assert_array_equal(chosen, np.array(strengths)[np.argmin(errors, axis=0)])
    np.testing.assert_array_equal(chosen, strengths)


def test_a_checkpoint_keeps_what_was_fitted() -> None:
    feat, target = data()
    probes = fit_probes([(feat, target, np.zeros(60, bool))], ["a", "b"], [0.1])
    again = LinearProbes.from_checkpoint(probes.to_checkpoint())
    assert again.names == ("a", "b")
    np.testing.assert_array_equal(again.read(feat), probes.read(feat))


def test_what_cannot_be_fitted_says_why() -> None:
    feat, target = data()
    with pytest.raises(ValueError, match="no frames"):
        fit_probes([], ["a", "b"], [0.1])
    with pytest.raises(ValueError, match="no frame is held back"):
        fit_probes([(feat, target, np.zeros(60, bool))], ["a", "b"], [0.1, 1.0])
