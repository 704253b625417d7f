"""The static view in layers is the plain one, to the bit."""

import numpy as np
import pytest

from wam.sim import constants as c
from wam.sim import layers
from wam.sim.assets.manner import CALVIN, OWN
from wam.sim.cameras import StaticCamera
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.layers import LayeredCamera, Parts, all_shapes

CONFIG = SimConfig(image_size_gripper=8)


@pytest.fixture(scope="module")
def env():
    env = PlayTableEnv(CONFIG)
    yield env
    env.close()


def assert_plain(env, observation):
    """The static image is what the plain camera draws now."""
    plain = StaticCamera(env._client, env.config.image_size_static, env._assets.manner.look)
    np.testing.assert_array_equal(observation["rgb_obs"]["rgb_static"], plain.draw())


def strokes(seed, steps):
    """Long strokes in any direction, downwards more often, so that blocks and furniture are touched."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        if step % 12 == 0:
            action = rng.uniform(-1, 1, 7) - [0, 0, 0.3, 0, 0, 0, 0]
        yield action


def test_the_same_pixels_during_episodes_on_many_tables(env):
    redrawn, images = env._static_camera.redrawn, 0
    for seed in range(6):
        assert_plain(env, env.reset(seed=seed)[0])
        for action in strokes(seed, 20):
            assert_plain(env, env.step(action)[0])
            images += 1
    assert env._static_camera.redrawn - redrawn < 0.1 * images  # else layers would be no gain


def test_the_same_pixels_with_the_arm_anywhere(env):
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(40):
        env._robot.reset(rng.uniform(-2.8, 2.8, 7), 0.04, 1.0)
        assert_plain(env, env.observe())


def test_furniture_anywhere_in_its_range_and_lights_of_any_state(env):
    rng = np.random.default_rng(1)
    env.reset(seed=1)
    scene = env._scene
    for _ in range(40):
        for joint in scene.joints:
            joint.reset(rng.uniform(*joint.limits))
        scene.bulb.set(bool(rng.integers(2)))
        scene.led.set(bool(rng.integers(2)))
        assert_plain(env, env.observe())


def test_rendering_may_begin_within_an_episode(env):
    env.rendering = False
    env.reset(seed=5)
    for action in strokes(5, 6):
        env.step(action)
    env.rendering = True
    assert_plain(env, env.observe())


@pytest.mark.parametrize("share", [0.3, 0.6, 0.85, 0.9, 0.95, 0.99])
def test_a_block_on_its_way_into_the_lens_is_drawn(env, share):
    env.reset(seed=6)
    eye, target = np.array(c.STATIC_EYE), np.array(c.STATIC_TARGET)
    place = (target + share * (eye - target)).tolist()
    env._client.resetBasePositionAndOrientation(env._scene.blocks[0].body, place, (0, 0, 0, 1))
    assert_plain(env, env.observe())


def test_where_depths_tie_all_is_drawn_at_once(env, monkeypatch):
    env.reset(seed=6)
    redrawn = env._static_camera.redrawn
    monkeypatch.setattr(layers, "_TIE", 1.0)
    assert_plain(env, env.observe())
    assert env._static_camera.redrawn == redrawn + 1


def test_a_drawing_leaves_the_world_as_it_was(env):
    env.rendering = False
    env.reset(seed=7)
    env.rendering = True
    env._scene.bulb.set(True)
    env._scene.led.set(False)
    plain = StaticCamera(env._client, 64, OWN.look)
    before = plain.draw()
    for _ in range(2):  # the first also draws what stands still
        np.testing.assert_array_equal(env.render(), before)
        np.testing.assert_array_equal(plain.draw(), before)


def test_hidden_parts_are_not_drawn_and_come_back_as_they_were(env):
    env.rendering = False
    env.reset(seed=8)
    env.rendering = True
    plain = StaticCamera(env._client, 64, OWN.look)
    everything, before = Parts(env._client, all_shapes(env._client)), plain.draw()
    everything.hide()
    assert (plain.draw() == OWN.look.background).all()
    everything.show()
    np.testing.assert_array_equal(plain.draw(), before)


def test_only_looks_without_shadows_are_drawn_in_layers(env):
    assert isinstance(env._static_camera, LayeredCamera)
    assert not CALVIN.look.casts_no_shadows
