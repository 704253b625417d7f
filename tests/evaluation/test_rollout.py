from dataclasses import replace

import numpy as np
import pytest

from wam.evaluation.rollout import rollout
from wam.sim.rules import to_executable
from wam.tasks.table import TASK_NAMES


class ScriptedAgent:
    """Start i moves at speed i / 2; the gripper value is uncertain."""

    act_steps = 4
    needs_images = False

    def __init__(self, speeds, needs_images=False):
        self.speeds = np.asarray(speeds, np.float32)
        self.needs_images = needs_images
        self.decisions = 0
        self.observed = []

    def reset(self, frames):
        self.observed = [frames]

    def act(self):
        self.decisions += 1
        chunk = np.full((len(self.speeds), self.act_steps, 7), 0.3, np.float32)
        chunk[..., 0] = self.speeds[:, None]
        return chunk

    def observe(self, frames, action, active):
        self.observed.append((frames, action.copy(), active.copy()))


def test_success_is_judged_at_every_step_relative_to_the_start(pool, closed_drawers):
    result = rollout(pool, closed_drawers, "open_drawer", ScriptedAgent([0.0, 0.5, 1.0]), max_steps=30)
    np.testing.assert_array_equal(result.success, [False, True, True])
    # strictly more than 0.12 m: 13 steps of 1 cm, 25 of 5 mm
    np.testing.assert_array_equal(result.steps, [30, 25, 13])


def test_finished_starts_are_not_stepped(pool, closed_drawers):
    rollout(pool, closed_drawers, "open_drawer", ScriptedAgent([0.0, 0.5, 1.0]), max_steps=30)
    running = [active.sum() for _, active, _ in pool.steps]
    assert running == [3] * 13 + [2] * 12 + [1] * 5


def test_the_rollout_ends_when_all_have_succeeded(pool, closed_drawers):
    rollout(pool, closed_drawers, "open_drawer", ScriptedAgent([1.0, 1.0, 1.0]))
    assert len(pool.steps) == 13


def test_an_episode_may_linger_after_its_success_without_changing_its_result(pool, closed_drawers):
    agent = ScriptedAgent([0.0, 0.5, 1.0])
    result = rollout(pool, closed_drawers, "open_drawer", agent, max_steps=30, linger_steps=3)
    np.testing.assert_array_equal(result.success, [False, True, True])
    np.testing.assert_array_equal(result.steps, [30, 25, 13])
    running = [active.sum() for _, active, _ in pool.steps]
    assert running == [3] * 16 + [2] * 12 + [1] * 2
    observed = np.sum([active for _, _, active in agent.observed[1:]], axis=0)
    np.testing.assert_array_equal(observed, [30, 27, 15])


def test_lingering_ends_with_the_episode(pool, closed_drawers):
    agent = ScriptedAgent([1.0, 1.0, 1.0])
    result = rollout(pool, closed_drawers, "open_drawer", agent, max_steps=14, linger_steps=9)
    assert result.success.all()
    assert len(pool.steps) == 14


def test_one_decision_per_chunk_and_every_frame_observed(pool, closed_drawers):
    agent = ScriptedAgent([0.0, 0.0, 0.0])
    rollout(pool, closed_drawers, "open_drawer", agent, max_steps=10)
    assert agent.decisions == 3
    assert len(agent.observed) == 1 + 10


def test_frames_are_observed_while_the_next_step_is_taken_but_before_a_decision(pool, closed_drawers):
    """A decision after every fourth step; of ten."""
    taken = []

    class Watching(ScriptedAgent):
        def observe(self, *seen):
            super().observe(*seen)
            taken.append(len(pool.steps))

    rollout(pool, closed_drawers, "open_drawer", Watching([0.0, 0.0, 0.0]), max_steps=10)
    assert taken == [2, 3, 4, 4, 6, 7, 8, 8, 10, 10]


def test_the_agent_observes_the_executed_action(pool, closed_drawers):
    agent = ScriptedAgent([5.0, 0.0, -5.0])
    rollout(pool, closed_drawers, "open_drawer", agent, max_steps=3)
    _, action, _ = agent.observed[1]
    np.testing.assert_array_equal(action[:, 0], [1.0, 0.0, -1.0])
    np.testing.assert_array_equal(action[:, 6], [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(action, pool.steps[0][0])


def test_videos_hold_both_cameras_until_the_end(pool, closed_drawers):
    result = rollout(
        pool, closed_drawers, "open_drawer", ScriptedAgent([0.0, 0.5, 1.0]), max_steps=20, record=[0, 2]
    )
    assert {row: clip.shape for row, clip in result.videos.items()} == {
        0: (21, 64, 128, 3),
        2: (14, 64, 128, 3),
    }
    assert result.videos[2][-1].max() in (129, 130)


def test_blind_agents_are_not_rendered_for(pool, closed_drawers):
    rollout(pool, closed_drawers, "open_drawer", ScriptedAgent([0.0] * 3), max_steps=2)
    assert not any(render.any() for *_, render in pool.steps)


def test_of_a_blind_agent_only_what_is_kept_is_rendered(pool, closed_drawers):
    agent = ScriptedAgent([1.0] * 3)
    result = rollout(pool, closed_drawers, "open_drawer", agent, max_steps=2, record=[1])
    assert all(render.tolist() == [False, True, False] for *_, render in pool.steps)
    assert [len(video) for video in result.videos.values()] == [3]
    assert result.videos[1][-1].any()


def test_bad_actions_unknown_tasks_and_rows_stop(pool, closed_drawers):
    with pytest.raises(ValueError, match="not finite"):
        rollout(pool, closed_drawers, "open_drawer", ScriptedAgent([np.nan, 0.0, 0.0]))
    with pytest.raises(ValueError, match="open_drawer"):
        rollout(pool, closed_drawers, "open_draw", ScriptedAgent([0.0] * 3))
    with pytest.raises(ValueError, match="recorded indices below 3"):
        rollout(pool, closed_drawers, "open_drawer", ScriptedAgent([0.0] * 3), record=[3])


def test_gripper_is_binarised_at_zero():
    action = np.zeros((3, 7))
    action[:, 6] = [-0.01, 0.0, 0.4]
    np.testing.assert_array_equal(to_executable(action)[:, 6], [-1.0, 1.0, 1.0])


def test_success_rate_is_the_share(pool, closed_drawers):
    result = rollout(pool, closed_drawers, "open_drawer", ScriptedAgent([0.0, 0.5, 1.0]), max_steps=30)
    assert result.success_rate == pytest.approx(2 / 3)


def test_a_simulator_with_a_judge_of_its_own_is_believed(pool, closed_drawers):
    """Scene states say that the drawers opened; the table's oracle names another start and another step."""

    class Judged:
        def __init__(self):
            self.taken = 0

        def reset(self, starts, *, render):
            return self.judged(pool.reset(starts, render=render))

        def step(self, actions, *, active, render, meanwhile):
            self.taken += 1
            return self.judged(pool.step(actions, active=active, render=render, meanwhile=meanwhile))

        def judged(self, frames):
            solved = np.zeros((3, len(TASK_NAMES)), bool)
            solved[1, TASK_NAMES.index("open_drawer")] = self.taken >= 2
            return replace(frames, solved=solved)

    result = rollout(Judged(), closed_drawers, "open_drawer", ScriptedAgent([1.0, 0.0, 1.0]), max_steps=20)
    np.testing.assert_array_equal(result.success, [False, True, False])
    np.testing.assert_array_equal(result.steps, [20, 2, 20])
