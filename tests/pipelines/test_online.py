"""Scenes and demonstrations of refinement in the simulator."""

import numpy as np
import pytest

from wam.pipelines.behavior_cloning.nodes import some_of
from wam.pipelines.pages import ComputeConfig, ImaginationStartsConfig
from wam.pipelines.ppo.nodes import render_imagination_starts
from wam.pipelines.practice_scenes import imagination_scenes
from wam.rl.config import OnlineConfig, PPOConfig
from wam.sim.config import SimConfig
from wam.tasks.table import TASK_NAMES

SCENES = ImaginationStartsConfig(scenes=1, seed=41)


@pytest.mark.slow
def test_both_worlds_start_from_the_same_scenes():
    rendered = render_imagination_starts(
        SimConfig(), SCENES, ComputeConfig(device="cpu", workers=1, in_process=True)
    )
    for number, task in enumerate(TASK_NAMES):
        scenes = imagination_scenes(SimConfig(), SCENES, task)
        shown = rendered["robot_obs"][rendered["task"] == number]
        joints = [scene.robot_obs[7:14] for scene in scenes]
        np.testing.assert_allclose(shown[:, 7:14], joints, atol=1e-4)


def test_only_the_amount_of_practice_is_its_own():
    ppo = PPOConfig(
        iterations=6, envs=50, episodes_per_iteration=2, eval_every=6, critic_hidden=8, bc_coef=0.5
    )
    applied = OnlineConfig(iterations=9, envs=3, episodes_per_iteration=1, eval_every=4).applied(ppo)
    assert (applied.iterations, applied.envs, applied.episodes_per_iteration, applied.eval_every) == (
        9,
        3,
        1,
        4,
    )
    assert applied.bc_coef == 0.5


def test_demonstrations_are_drawn_by_the_seed_and_grow():
    ten, five = (some_of(range(20, 70), n, task="open_drawer", seed=1) for n in (10, 5))
    assert set(five) < set(ten) < set(range(20, 70))
    assert ten == sorted(ten)
    assert some_of(range(20, 70), 5, task="open_drawer", seed=2) != five
    assert some_of(range(20, 70), None, task="open_drawer", seed=1) == list(range(20, 70))
    with pytest.raises(ValueError, match=r"demonstrations is 51, but open_drawer has 50"):
        some_of(range(50), 51, task="open_drawer", seed=1)
