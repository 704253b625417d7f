import numpy as np
import pybullet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.rotation import euler_to_matrix, euler_to_rot6d

ANGLE = st.floats(-3.1, 3.1)
PITCH = st.floats(-1.5, 1.5)
CONVENTIONS = ("extrinsic", "intrinsic")


def slow_matrix(euler: tuple[float, float, float], convention: str) -> np.ndarray:
    """Product of three written-out rotations."""
    a, b, c = euler
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return z @ y @ x if convention == "extrinsic" else x @ y @ z


@pytest.mark.parametrize("convention", CONVENTIONS)
@given(euler=st.tuples(ANGLE, PITCH, ANGLE))
def test_rows_of_the_matrix(convention: str, euler: tuple[float, float, float]) -> None:
    expected = slow_matrix(euler, convention)
    np.testing.assert_allclose(euler_to_rot6d(np.array(euler), convention), expected[:2].ravel(), atol=1e-12)


@given(euler=st.tuples(ANGLE, PITCH, ANGLE))
def test_extrinsic_is_pybullets_rotation(euler: tuple[float, float, float]) -> None:
    expected = np.reshape(pybullet.getMatrixFromQuaternion(pybullet.getQuaternionFromEuler(euler)), (3, 3))
    np.testing.assert_allclose(euler_to_matrix(np.array(euler), "extrinsic"), expected, atol=1e-9)


def test_continuous_where_roll_wraps() -> None:
    near = euler_to_rot6d(np.array([[np.pi - 1e-6, 0, 1.5], [-np.pi + 1e-6, 0, 1.5]]))
    np.testing.assert_allclose(near[0], near[1], atol=1e-5)


def test_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'XYZ'"):
        euler_to_rot6d(np.zeros(3), "XYZ")  # type: ignore[arg-type]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_proprio_layout(convention: str) -> None:
    robot = np.random.default_rng(0).uniform(-1, 1, (2, 3, 15))
    proprio = proprio_from_robot_obs(robot, convention)
    assert proprio.shape == (2, 3, 18)
    assert proprio.dtype == np.float32
    np.testing.assert_allclose(proprio[..., :3], robot[..., :3], rtol=1e-6)
    rotation = euler_to_rot6d(robot[..., 3:6], convention)
    np.testing.assert_allclose(proprio[..., 3:9], rotation, rtol=1e-6)
    np.testing.assert_allclose(proprio[..., 9:], robot[..., 6:], rtol=1e-6)


def test_wrong_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="15 values"):
        proprio_from_robot_obs(np.zeros(18))
