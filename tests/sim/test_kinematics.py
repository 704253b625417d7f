"""Plain NumPy kinematics against known numbers and itself."""

import numpy as np
import pytest

from wam.sim import constants as c
from wam.sim.kinematics import euler_to_matrix, matrix_to_euler, solve_joints, tcp_pose


def test_rest_pose_is_calvins_neutral_pose():
    position, rotation = tcp_pose(np.array(c.ARM_REST))
    np.testing.assert_allclose(position, [0.02586889, -0.2313129, 0.5712808], atol=1e-4)
    np.testing.assert_allclose(
        rotation, euler_to_matrix(np.array([3.09045411, -0.02908596, 1.50013585])), atol=1e-3
    )


@pytest.mark.parametrize("euler", [(3.1, 0.1, 1.5), (-3.0, -0.6, -2.0), (0.2, 1.2, 0.0)])
def test_euler_round_trip(euler):
    np.testing.assert_allclose(matrix_to_euler(euler_to_matrix(np.array(euler))), euler, atol=1e-12)


def test_solutions_reach_their_pose_within_the_limits():
    rng, down = np.random.default_rng(0), np.array([np.pi, 0, np.pi / 2])
    for _ in range(20):
        position = rng.uniform([-0.2, -0.3, 0.5], [0.3, -0.1, 0.65])
        joints = solve_joints(position, down)
        assert joints is not None
        assert (joints >= c.ARM_LOWER).all()
        assert (joints <= c.ARM_UPPER).all()
        reached, rotation = tcp_pose(joints)
        np.testing.assert_allclose(reached, position, atol=1.1e-3)
        np.testing.assert_allclose(rotation, euler_to_matrix(down), atol=3e-3)


def test_out_of_reach_is_none():
    assert solve_joints(np.array([2.0, 0, 0.5]), np.array([np.pi, 0, 0])) is None
