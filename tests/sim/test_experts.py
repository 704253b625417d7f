import numpy as np
import pytest

from wam.episodes.calvin_writer import relative_actions
from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.expert_runs import VARIANTS, full_stroke_end, reached_start, run_expert
from wam.sim.experts import Attempt, plan
from wam.sim.layout import FIXED_LAYOUT, MEAN_LAYOUT
from wam.sim.replay import replay_actions
from wam.sim.starts import sample_start
from wam.tasks.predicates import is_feasible, succeeded
from wam.tasks.table import TASK_NAMES, TASKS

CONFIG, FIXED = SimConfig(), SimConfig(layout="fixed")


@pytest.fixture(scope="module")
def env():
    table = PlayTableEnv(CONFIG, render=False)
    yield table
    table.close()


@pytest.fixture(scope="module")
def fixed_env():
    table = PlayTableEnv(FIXED, render=False)
    yield table
    table.close()


def start_of(task, index, config=CONFIG):
    return sample_start(config, numpy_generator(4, "experts", task, index), task)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASK_NAMES)
def test_expert_solves_its_task_and_its_labels_replay(env, task):
    for index in range(2):
        start = start_of(task, index)
        run = run_expert(CONFIG, start, task, seed=0, env=env, stop_at_success=False)
        assert run.success
        assert run.steps <= 72
        labels = relative_actions(run.robot_obs)[1][: run.steps + 6]
        scene = replay_actions(CONFIG, start, labels, env=env)
        assert succeeded(TASKS[task], scene[0], scene).any()


@pytest.mark.slow
@pytest.mark.parametrize("task", TASK_NAMES)
def test_expert_solves_48_of_50_and_the_blind_control_under_30_percent(env, task):
    starts = [start_of(task, index) for index in range(50)]
    sighted = [run_expert(CONFIG, start, task, seed=0, env=env).success for start in starts]
    blind = [run_expert(CONFIG, s, task, seed=0, env=env, layout_belief=MEAN_LAYOUT).success for s in starts]
    assert sum(sighted) >= 48
    assert sum(blind) < 15


@pytest.mark.parametrize("task", TASK_NAMES)
def test_expert_solves_calvins_fixed_layout(fixed_env, task):
    assert run_expert(FIXED, start_of(task, 0, FIXED), task, seed=0, env=fixed_env).success


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 6), marks=pytest.mark.slow)])
@pytest.mark.parametrize("variant", ["short", "beside", "redundant"])
@pytest.mark.parametrize("task", TASK_NAMES)
def test_near_misses_miss(env, task, variant, seeds):
    for seed in seeds:
        start = start_of(task, seed)
        run = run_expert(CONFIG, start, task, seed=seed, env=env, variant=variant, stop_at_success=False)
        assert not run.success
        assert not succeeded(TASKS[task], run.scene_state[0], run.scene_state).any()
        assert len(run.commands) > 10


class Judging(PlayTableEnv):
    """A table with an oracle of its own, which finds anything solved from some step on."""

    solved_from = 0

    def step(self, action):
        *seen, info = super().step(action)
        return *seen, info | {"solved": np.full(len(TASKS), self._steps >= self.solved_from)}


def test_the_tables_own_verdict_is_asked_where_it_has_one():
    table, start = Judging(CONFIG, render=False), start_of("open_drawer", 0)
    table.solved_from = 3
    run = run_expert(CONFIG, start, "open_drawer", seed=0, env=table)
    assert (run.success, run.steps) == (True, 3)
    table.solved_from = 1000
    run = run_expert(CONFIG, start, "open_drawer", seed=0, env=table)
    assert not run.success
    assert succeeded(TASKS["open_drawer"], run.scene_state[0], run.scene_state).any()
    table.close()


def test_a_recorded_run_has_a_frame_more_than_commands():
    run = run_expert(CONFIG, start_of("turn_on_led", 0), "turn_on_led", seed=0, record=True)
    assert len(run.image_static) == len(run.robot_obs) == len(run.scene_state) == len(run.commands) + 1
    assert run.image_static.shape[1:] == run.image_gripper.shape[1:] == (64, 64, 3)
    assert np.abs(run.commands).max() <= 1
    assert set(run.commands[:, 6]) <= {-1.0, 1.0}


def test_the_same_seed_makes_the_same_near_miss(env):
    runs = [
        run_expert(CONFIG, start_of("open_drawer", 0), "open_drawer", seed=s, env=env, variant="beside")
        for s in (0, 0, 1)
    ]
    np.testing.assert_array_equal(runs[0].commands, runs[1].commands)
    assert not np.array_equal(runs[0].commands, runs[2].commands)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_a_reached_start_leaves_nothing_to_do(task):
    goal = TASKS[task]
    start = reached_start(start_of(task, 0), goal)
    assert not is_feasible(goal, start.scene_state)


def test_strokes_go_beyond_the_threshold_and_not_beyond_the_limit():
    assert full_stroke_end(TASKS["open_drawer"], 0.01) == pytest.approx(0.15)
    assert full_stroke_end(TASKS["open_drawer"], 0.09) == pytest.approx(0.22)
    assert full_stroke_end(TASKS["move_slider_right"], 0.28) == pytest.approx(0.11)
    assert full_stroke_end(TASKS["turn_on_led"], 0.0) is None


def test_a_motion_that_is_half_done_is_taken_up_in_the_middle():
    start = start_of("open_drawer", 0)
    scene = start.scene_state
    there = plan(Attempt("open_drawer"), FIXED_LAYOUT, scene, start.robot_obs)
    robot = start.robot_obs.copy()
    robot[:3], robot[14] = there[0].goal, -1.0
    assert len(plan(Attempt("open_drawer"), FIXED_LAYOUT, scene, robot)) == len(there) - 1


def test_unknown_names_are_refused(env):
    start = start_of("open_drawer", 0)
    with pytest.raises(ValueError, match="open_drawer"):
        run_expert(CONFIG, start, "open_drawr", seed=0, env=env)
    with pytest.raises(ValueError, match=", ".join(VARIANTS)):
        run_expert(CONFIG, start, "open_drawer", seed=0, env=env, variant="shrt")
