import numpy as np
import pytest

from wam.demonstrations.control_conditions import control_condition, unit_proprio
from wam.episodes.statistics import ProprioStatistics
from wam.sim.layout import LAYOUT_FIELDS, LAYOUT_RANGES

STATISTICS = ProprioStatistics(np.full(18, -2.0, np.float32), np.full(18, 4.0, np.float32))


def robot(count=3):
    return np.random.default_rng(0).uniform(-1, 1, (count, 15))


def test_proprio_alone_sees_nothing_of_the_table():
    scene = np.random.default_rng(1).uniform(0, 0.2, (3, 24))
    one = control_condition("proprio", robot(), scene, np.zeros((3, 6)), STATISTICS)
    other = control_condition("proprio", robot(), scene * 0, np.ones((3, 6)), STATISTICS)
    assert one.shape == (3, 18)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, other)


def test_privileged_adds_furniture_and_layout_scaled_to_one():
    scene = np.zeros((2, 24))
    scene[1, :6] = [0.28, 0.22, 0.02, 0.088, 1, 1]
    layout = np.array(
        [
            [LAYOUT_RANGES[name].low for name in LAYOUT_FIELDS],
            [LAYOUT_RANGES[name].high for name in LAYOUT_FIELDS],
        ]
    )
    cond = control_condition("privileged", robot(2), scene, layout, STATISTICS)
    assert cond.shape == (2, 18 + 6 + len(LAYOUT_FIELDS))
    np.testing.assert_allclose(cond[0, 18:], -1, atol=1e-6)
    np.testing.assert_allclose(cond[1, 18:], 1, atol=1e-6)


@pytest.mark.parametrize("layout", [None, np.zeros((2, 0))])
def test_a_table_that_never_moves_has_no_layout(layout):
    assert control_condition("privileged", robot(2), np.zeros((2, 24)), layout, STATISTICS).shape == (2, 24)


def test_blocks_are_left_out():
    scene = np.zeros((2, 24))
    moved = scene.copy()
    moved[:, 6:] = 1.0
    np.testing.assert_array_equal(
        control_condition("privileged", robot(2), scene, None, STATISTICS),
        control_condition("privileged", robot(2), moved, None, STATISTICS),
    )


def test_a_value_that_never_moved_stays_finite():
    still = ProprioStatistics(np.zeros(18, np.float32), np.zeros(18, np.float32))
    np.testing.assert_array_equal(unit_proprio(np.ones((1, 18)), still), np.ones((1, 18)))


def test_unknown_controls_stop():
    with pytest.raises(ValueError, match="proprio, privileged"):
        control_condition("blind", robot(), np.zeros((3, 24)), None, STATISTICS)  # type: ignore[arg-type]
