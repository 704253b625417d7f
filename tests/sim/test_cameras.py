"""CALVIN's cameras."""

import numpy as np

from wam.sim.assets.manner import Look
from wam.sim.cameras import StaticCamera
from wam.sim.client import Client
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv


def test_static_view_is_the_published_one():
    client = Client()
    view = np.array(StaticCamera(client, 64, Look())._view).reshape(4, 4).T
    client.close()
    expected = [
        [0.72324, 0.51412, -0.46108, 0.21527],
        [-0.03026, 0.69061, 0.72259, -0.26317],
        [0.68993, -0.50866, 0.51504, -4.39917],
        [0, 0, 0, 1],
    ]
    np.testing.assert_allclose(view, expected, atol=1e-4)


def test_calvins_recording_sizes():
    env = PlayTableEnv(SimConfig(image_size_static=200, image_size_gripper=84))
    images = env.reset(seed=0)[0]["rgb_obs"]
    env.close()
    assert images["rgb_static"].shape == (200, 200, 3)
    assert images["rgb_gripper"].shape == (84, 84, 3)
    assert all(image.dtype == np.uint8 and image.flags["C_CONTIGUOUS"] for image in images.values())


def test_light_settings_of_other_calls_do_not_stick():
    env = PlayTableEnv(SimConfig(image_size_static=32, image_size_gripper=32))
    before = env.reset(seed=0)[0]["rgb_obs"]["rgb_static"]
    env._client.getCameraImage(8, 8, lightAmbientCoeff=0.0, lightDirection=(0, 0, -1), shadow=1)
    np.testing.assert_array_equal(env.render(), before)
    env.close()


def test_each_camera_sees_the_arm_move():
    env = PlayTableEnv(SimConfig(image_size_static=32, image_size_gripper=32))
    before = env.reset(seed=0)[0]["rgb_obs"]
    for _ in range(5):
        after = env.step(np.array([1.0, 0, 0, 0, 0, 0, -1]))[0]["rgb_obs"]
    env.close()
    for name in before:
        assert (before[name] != after[name]).mean() > 0.02
