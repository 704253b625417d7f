import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from processes import alive, wait_until, wait_until_all_ended

from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.env_group import EnvGroup
from wam.sim.frames import gather_frames
from wam.sim.pool import SimFrames, SimPool, SimWorkerError
from wam.sim.pool_ray import RaySimWorker
from wam.sim.starts import sample_start

CONFIG = SimConfig()
STARTS = [sample_start(CONFIG, numpy_generator(0, "pool", i)) for i in range(3)]
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (6, len(STARTS), 7))
ALL = np.ones(len(STARTS), bool)


def assert_same(one: SimFrames, other: SimFrames) -> None:
    for name in ("image_static", "image_gripper", "robot_obs", "scene_state"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def run_pool(workers: int) -> list[SimFrames]:
    with SimPool(CONFIG, workers=workers) as pool:
        frames = [pool.reset(STARTS, render=True)]
        frames += [pool.step(actions, active=ALL, render=True) for actions in ACTIONS]
    return frames


def test_inline_pool_equals_single_environments_bit_for_bit():
    frames = run_pool(0)
    for row, start in enumerate(STARTS):
        env = PlayTableEnv(CONFIG)
        observations = [env.reset(options={"start": start})[0]]
        observations += [env.step(actions[row])[0] for actions in ACTIONS]
        env.close()
        for pooled, single in zip(frames, observations, strict=True):
            np.testing.assert_array_equal(pooled.image_static[row], single["rgb_obs"]["rgb_static"])
            np.testing.assert_array_equal(pooled.image_gripper[row], single["rgb_obs"]["rgb_gripper"])
            np.testing.assert_array_equal(pooled.robot_obs[row], single["robot_obs"])
            np.testing.assert_array_equal(pooled.scene_state[row], single["scene_obs"])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_frames(workers):
    for one, other in zip(run_pool(0), run_pool(workers), strict=True):
        assert_same(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_something_else_is_done_once_while_a_step_is_taken(workers):
    done = []
    with SimPool(CONFIG, workers=workers) as pool:
        pool.reset(STARTS, render=False)
        for actions in ACTIONS[:2]:
            pool.step(actions, active=ALL, render=False, meanwhile=lambda: done.append("thing"))
    assert done == ["thing", "thing"]


@pytest.mark.slow
def test_what_fails_while_a_step_is_taken_ends_the_workers():
    """Their answers are under way: the next question would get them."""
    pool = SimPool(CONFIG, workers=2)
    pool.reset(STARTS, render=False)
    with pytest.raises(ZeroDivisionError):
        pool.step(ACTIONS[0], active=ALL, render=False, meanwhile=lambda: 1 / 0)
    assert pool.closed
    assert not [child for child in multiprocessing.active_children() if child.name.startswith("sim-")]


def test_inactive_tables_stand_still_and_the_others_move():
    with SimPool(CONFIG, workers=0) as pool:
        first = pool.reset(STARTS, render=True)
        second = pool.step(ACTIONS[0], active=np.array([True, False, True]), render=True)
    np.testing.assert_array_equal(first.robot_obs[1], second.robot_obs[1])
    np.testing.assert_array_equal(first.image_static[1], second.image_static[1])
    assert not np.array_equal(first.robot_obs[0], second.robot_obs[0])


def restarted(workers: int) -> list[SimFrames]:
    with SimPool(CONFIG, workers=workers) as pool:
        pool.reset(STARTS, render=True)
        frames = [pool.step(ACTIONS[0], active=ALL, render=True)]
        frames.append(pool.restart(np.array([2, 0]), [STARTS[1], STARTS[2]], render=True))
        frames.append(pool.step(ACTIONS[1], active=ALL, render=True))
    return frames


def test_tables_that_restart_are_like_new_ones_and_the_others_wait():
    before, started, after = restarted(0)
    np.testing.assert_array_equal(started.image_static[1], before.image_static[1])
    np.testing.assert_array_equal(started.robot_obs[1], before.robot_obs[1])
    with SimPool(CONFIG, workers=0) as pool:
        fresh = pool.reset([STARTS[2], STARTS[1]], render=True)
        later = pool.step(ACTIONS[1, [0, 2]], active=ALL[:2], render=True)
    for name in ("image_static", "image_gripper", "robot_obs", "scene_state"):
        np.testing.assert_array_equal(getattr(started, name)[[0, 2]], getattr(fresh, name))
        np.testing.assert_array_equal(getattr(after, name)[[0, 2]], getattr(later, name))


@pytest.mark.slow
def test_any_number_of_workers_restarts_the_same_tables():
    for one, other in zip(restarted(0), restarted(2), strict=True):
        assert_same(one, other)


def test_a_lost_worker_of_a_cluster_is_made_good_by_the_same_requests():
    row, drawn = np.array([0]), np.array([True])
    requests = [
        ("reset", STARTS[:1], drawn),
        ("step", row, ACTIONS[0, :1], drawn),
        ("restart", row, STARTS[1:2], drawn),
        ("step", row, ACTIONS[1, :1], drawn),
    ]
    worker, repeated = RaySimWorker.__new__(RaySimWorker), []
    worker._since_reset, worker._ask = requests, repeated.append
    worker._repeat()
    answers = []
    for asked in (requests, repeated):
        group = EnvGroup(CONFIG)
        frames = [getattr(group, method)(*arguments) for method, *arguments in asked]
        group.close()
        answers.append(frames)
    assert_same(answers[0][-1], answers[1][-1])
    assert all(frames.image_static is None for frames in answers[1][:-1])


def test_without_rendering_there_are_no_images():
    with SimPool(CONFIG, workers=0) as pool:
        assert pool.reset(STARTS[:1], render=False).image_static is None
        assert pool.step(ACTIONS[0, :1], active=ALL[:1], render=False).image_gripper is None


def test_tables_that_are_not_drawn_are_black_and_move_all_the_same():
    drawn = np.array([False, True, False])
    with SimPool(CONFIG, workers=0) as pool:
        some = [pool.reset(STARTS, render=drawn), pool.step(ACTIONS[0], active=ALL, render=drawn)]
    for frames, whole in zip(some, run_pool(0)[:2], strict=True):
        np.testing.assert_array_equal(frames.robot_obs, whole.robot_obs)
        np.testing.assert_array_equal(frames.image_static[1], whole.image_static[1])
        assert not frames.image_static[~drawn].any()
        assert not frames.image_gripper[~drawn].any()


def shown(rows: list[int], drawn: set[int]) -> SimFrames:
    """Frames of some tables: images of 7 where a table is drawn, black beside it, none if no table is."""
    bright = np.array([7 if row in drawn else 0 for row in rows], np.uint8)
    images = np.tile(bright[:, None, None, None], (1, 2, 2, 3)) if bright.any() else None
    return SimFrames(images, images, np.ones((len(rows), 15)), np.ones((len(rows), 24)))


@pytest.mark.parametrize("parts", [[[0, 1]], [[0], [1]], [[1], [0]]])
def test_undrawn_images_are_black_whoever_shares_their_worker(parts):
    last = shown([0, 1, 2], drawn={0, 1, 2})
    stepped = [shown(rows, drawn={0}) for rows in parts]
    frames = gather_frames(3, stepped, [np.array(rows) for rows in parts], last)
    assert [int(image.max()) for image in frames.image_static] == [7, 0, 7]
    assert [int(image.max()) for image in frames.image_gripper] == [7, 0, 7]


def test_images_of_an_earlier_moment_are_not_shown_again():
    last = shown([0, 1], drawn={0, 1})
    frames = gather_frames(2, [shown([1], drawn=set())], [np.array([1])], last)
    assert [int(image.max()) for image in frames.image_static] == [7, 0]
    nothing = gather_frames(2, [shown([1], drawn=set())], [np.array([1])], shown([0, 1], drawn=set()))
    assert nothing.image_static is None


def test_frames_handed_out_do_not_change_later():
    with SimPool(CONFIG, workers=0) as pool:
        first = pool.reset(STARTS, render=False)
        kept = first.robot_obs.copy()
        pool.step(ACTIONS[0], active=ALL, render=False)
    np.testing.assert_array_equal(first.robot_obs, kept)


def test_misuse_is_refused_by_name():
    with SimPool(CONFIG, workers=0) as pool:
        with pytest.raises(ValueError, match="call reset"):
            pool.step(ACTIONS[0], active=ALL, render=False)
        with pytest.raises(ValueError, match="call reset"):
            pool.restart(np.array([0]), STARTS[:1], render=False)
        with pytest.raises(ValueError, match="at least one start"):
            pool.reset([], render=False)
        pool.reset(STARTS, render=False)
        with pytest.raises(ValueError, match=r"actions \(3, 7\)"):
            pool.step(ACTIONS[0, :2], active=ALL, render=False)
        for rows in ([0, 0], [0, 3], [0]):
            with pytest.raises(ValueError, match="need each of 3 tables at most once"):
                pool.restart(np.array(rows), STARTS[:2], render=False)
    with pytest.raises(ValueError, match="workers"):
        SimPool(CONFIG, workers=-1)


@pytest.mark.slow
def test_an_error_in_a_worker_surfaces_with_its_traceback_and_leaves_no_process():
    pool = SimPool(CONFIG, workers=2)
    pool.reset(STARTS, render=False)
    broken = np.full((3, 7), np.nan)
    with pytest.raises(SimWorkerError, match=r"(?s)Traceback.*finite"):
        pool.step(broken, active=ALL, render=False)
    assert not [child for child in multiprocessing.active_children() if child.name.startswith("sim-")]


@pytest.mark.slow
def test_a_killed_worker_is_reported():
    with SimPool(CONFIG, workers=1) as pool:
        pool.reset(STARTS, render=False)
        victim = next(child for child in multiprocessing.active_children() if child.name == "sim-0")
        os.kill(victim.pid, 9)
        time.sleep(0.1)
        with pytest.raises(SimWorkerError, match="exit code -9"):
            pool.step(ACTIONS[0], active=ALL, render=False)


KILLED = """
import sys
from multiprocessing import active_children
from pathlib import Path

from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.sim.starts import sample_start

start = sample_start(SimConfig(), numpy_generator(0, "pool"))
with SimPool(SimConfig(), workers=1) as pool:
    pool.reset([start], render=False)
    for child in active_children():
        Path(sys.argv[1], str(child.pid)).touch()
    pool.reset([start] * 10_000, render=False)
"""


@pytest.mark.slow
def test_a_worker_at_work_ends_when_the_run_is_killed_outright(tmp_path):
    """It would build tables for an hour before it saw that nobody waits for them."""
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)]) as run:
        wait_until(lambda: any(tmp_path.iterdir()), limit_s=60)
        time.sleep(1)
        assert len(alive(tmp_path)) == 1
        run.kill()
    wait_until_all_ended(tmp_path, limit_s=20)
