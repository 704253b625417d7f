import numpy as np
import pytest

from wam.demonstrations.failures import attempt_starts
from wam.episodes.statistics import ProprioStatistics
from wam.evaluation.agent import RandomAgent
from wam.evaluation.baselines import expert_rollout, make_control_agent, stack_layouts
from wam.evaluation.rollout import rollout
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.tasks.starts import Start

STATISTICS = ProprioStatistics(np.full(18, -1.0, np.float32), np.full(18, 1.0, np.float32))


class Remember:
    def __init__(self):
        self.cond = []

    def sample(self, cond, **_):
        self.cond.append(cond.numpy().copy())
        return cond.new_zeros(len(cond), 4, 7)


@pytest.mark.parametrize(("kind", "width"), [("proprio", 18), ("privileged", 30)])
def test_control_agents_see_the_current_state(kind, width, pool):
    starts = [Start(np.zeros(15), np.zeros(24), np.full(6, i / 10)) for i in range(2)]
    policy = Remember()
    agent = make_control_agent(kind, policy, starts, STATISTICS, act_steps=4, seed=0)
    rollout(pool, starts, "open_drawer", agent, max_steps=8)
    assert [cond.shape for cond in policy.cond] == [(2, width)] * 2
    assert (policy.cond[0][0] == policy.cond[0][1]).all() == (kind == "proprio")


def test_layouts_come_together_or_not_at_all():
    bare, dressed = Start(np.zeros(15), np.zeros(24)), Start(np.zeros(15), np.zeros(24), np.zeros(6))
    assert stack_layouts([bare, bare]) is None
    assert stack_layouts([dressed, dressed]).shape == (2, 6)
    with pytest.raises(ValueError, match="only 1 of 2"):
        stack_layouts([bare, dressed])


@pytest.mark.slow
def test_the_expert_succeeds_where_a_random_policy_does_not():
    config = SimConfig()
    starts = attempt_starts(config, "turn_on_led", "held_out", 3, seed=0)
    expert = expert_rollout(config, starts, "turn_on_led", workers=1)
    assert expert.success.all()
    assert (expert.steps <= 72).all()
    with SimPool(config, workers=0) as pool:
        chance = rollout(pool, starts, "turn_on_led", RandomAgent(act_steps=4, seed=0), max_steps=72)
    assert chance.success_rate < 1
