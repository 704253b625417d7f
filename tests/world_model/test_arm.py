"""How the arm moves: found exactly where it can be, and the same as the obvious fit."""

import numpy as np
import pytest
import torch
from toy_world import tiny_config

from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.statistics import ProprioStatistics
from wam.seeding import torch_generator
from wam.world_model.arm import TERMS, ArmMotion
from wam.world_model.model import WorldModel


def recorded(count: int = 400):
    """Arms whose motion is the action, scaled by where the arm is: what phi can say exactly."""
    generator = torch_generator(1)
    arm = torch.rand(count, 18, generator=generator)
    action = torch.rand(count, 7, generator=generator) * 2 - 1
    change = torch.zeros(count, 18)
    change[:, :3] = 0.05 * action[:, :3]
    change[:, 3] = 0.1 * arm[:, 5] * action[:, 4]
    return arm, action, change


def test_motions_that_depend_on_the_pose_are_found():
    arm, action, change = recorded()
    motion = ArmMotion()
    assert torch.equal(motion(arm, action), arm), "before it was fitted it stands still"
    motion.fit_(arm, action, arm + change)
    want = (arm + change).clamp(0, 1)
    assert float((motion(arm, action) - want).abs().max()) < 0.01
    assert motion(arm[:0], action[:0]).shape == (0, 18)


def test_a_hand_that_turns_as_it_was_told_is_where_it_was_after_many_frames():
    """CALVIN's actions add up as Euler angles, proprioception holds rotation numbers: no straight lines.

    Half the hands hardly turn, as most do: what the mean turn bends by is no drift of theirs.
    """
    rng = np.random.default_rng(3)
    angles = rng.uniform(-1, 1, (120, 60, 3))
    angles[::2] *= 0.05
    robot_obs = np.zeros((120, 61, 15))
    robot_obs[:, 0, 3:6] = rng.uniform(-0.1, 0.1, (120, 3)) + np.array([np.pi, 0, np.pi / 2])
    robot_obs[:, 1:, 3:6] = robot_obs[:, :1, 3:6] + 0.05 * angles.cumsum(axis=1)
    proprio = torch.from_numpy(proprio_from_robot_obs(robot_obs))
    low, high = proprio.amin((0, 1)), proprio.amax((0, 1))
    arm = (proprio - low) / (high - low).clamp(min=1e-6)
    action = torch.zeros(120, 60, 7)
    action[..., 3:6] = torch.from_numpy(angles)
    motion = ArmMotion()
    motion.fit_(*(x[:100].flatten(end_dim=1) for x in (arm[:, :-1], action, arm[:, 1:])))
    imagined = arm[100:, 0]
    for t in range(30):
        imagined = motion(imagined, action[100:, t])
    rotation = slice(3, 9)
    moved = float((arm[100:, 30] - arm[100:, 0])[:, rotation].square().mean().sqrt())
    error = float((imagined - arm[100:, 30])[:, rotation].square().mean().sqrt())
    assert moved > 0.1
    assert error < 0.01, "twice as much without what turns bend by"


def test_no_hand_is_imagined_lower_than_one_was_recorded_thereabouts():
    """Commands lead through the table, hands do not; where none was ever, nothing is known to be below."""
    generator = torch_generator(2)
    arm = torch.rand(4_000, 18, generator=generator)
    arm[:, 0] *= 0.4  # no hand further to the right
    table = torch.where(arm[:, 0] > 0.2, 0.5, 0.1)
    arm[:, 2] = table + (1 - table) * arm[:, 2]
    action = torch.rand(4_000, 7, generator=generator) * 2 - 1
    motion = ArmMotion()
    action[:, 2] = action[:, 2].abs()  # recorded motions never lead through the table
    motion.fit_(arm, action, torch.cat((arm[:, :2], arm[:, 2:3] + 0.3 * action[:, 2:3], arm[:, 3:]), dim=1))
    hands = torch.full((4, 18), 0.6)
    hands[:, 0] = torch.tensor([0.05, 0.3, 0.3, 0.7])
    hands[:, 1] = 0.5
    push = torch.zeros(4, 7)
    push[:, 2] = torch.tensor([-1.0, -1.0, 0.2, -1.0])
    for _ in range(4):
        hands = motion(hands, push)
    low = hands[:, 2].tolist()
    assert low[0] == pytest.approx(0.1, abs=0.05)
    assert low[1] == pytest.approx(0.5, abs=0.05)
    assert low[2] == pytest.approx(0.84, abs=0.05), "above it the hand goes where it is sent"
    assert low[3] == 0.0


def test_nothing_to_fit_is_named():
    with pytest.raises(ValueError, match="no frame follows another"):
        ArmMotion().fit_(torch.zeros(0, 18), torch.zeros(0, 7), torch.zeros(0, 18))


def test_blocks_add_up_to_one_fit(monkeypatch):
    arm, action, change = recorded()
    whole, parts = ArmMotion(), ArmMotion()
    whole.fit_(arm, action, arm + change)
    monkeypatch.setattr("wam.world_model.arm.BLOCK", 7)
    parts.fit_(arm, action, arm + change)
    torch.testing.assert_close(parts.weight, whole.weight, atol=1e-6, rtol=1e-4)
    assert whole.weight.shape == (TERMS, 18)


@pytest.mark.parametrize("carries_arm", [True, False])
def test_a_model_is_fitted_to_pairs_inside_episodes_alone(carries_arm):
    """Raw proprioception and the action of a row lead to the next row, unless an episode starts there."""
    rng = np.random.default_rng(0)
    low, high = rng.random(18) - 2, rng.random(18) + 1
    statistics = ProprioStatistics(low, high)
    model = WorldModel(tiny_config(carries_arm=carries_arm), statistics, seed=1)
    action = rng.random((600, 7)).astype(np.float32) * 2 - 1
    arm = np.full((600, 18), 0.5, np.float32)
    is_first = np.arange(600) % 20 == 0
    for row in range(1, 600):
        if not is_first[row]:
            arm[row] = arm[row - 1]
            arm[row, :7] += 0.01 * action[row - 1]
        else:
            arm[row] = 0.3 + 0.4 * rng.random(18)  # nothing that an action explains
    model.fit_arm_((arm * (high - low) + low).astype(np.float32), action, is_first)
    if not carries_arm:
        assert model.rssm.arm_motion is None
        return
    rows = np.flatnonzero(~is_first[1:])
    moved = model.rssm.arm_motion(torch.from_numpy(arm[rows]), torch.from_numpy(action[rows]))
    assert float((moved - torch.from_numpy(arm[rows + 1])).abs().max()) < 2e-3
    again = WorldModel.from_checkpoint(model.to_checkpoint())
    assert torch.equal(again.rssm.arm_motion.weight, model.rssm.arm_motion.weight)
