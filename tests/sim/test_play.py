import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from wam.episodes.calvin_format import CalvinSplit
from wam.sim import play_episode, play_records
from wam.sim.config import SimConfig
from wam.sim.expert_runs import MISSES, draw_displacement
from wam.sim.play import PlayConfig, collect_play
from wam.sim.play_agenda import FAMILIES, draw_agenda
from wam.sim.play_episode import record_episode
from wam.tasks.predicates import is_feasible, succeeded
from wam.tasks.selection import is_selection_episode
from wam.tasks.table import SLIDER, TASK_NAMES, TASKS

SIM = SimConfig(image_size_static=16, image_size_gripper=16)
TINY = PlayConfig(
    seed=3,
    episode_frames=96,
    training_episodes=2,
    validation_episodes=1,
    min_training_segments=0,
    test_starts=0,
    selection_starts=0,
)


def digests(folder):
    """By path of every file: the same play twice is the same artefact."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("play") / "data"
    return folder, collect_play(folder, SIM, TINY)


def test_an_agenda_has_each_family_once_and_neighbours_do_the_opposite():
    for split in ("training", "validation"):
        counts = dict.fromkeys(TASK_NAMES, 0)
        for index in range(40):
            agenda = draw_agenda(0, split, index)
            assert all(len(set(agenda) & set(pair)) == 1 for pair in FAMILIES)
            assert not TASKS[agenda[0]].is_light
            for task in agenda:
                counts[task] += 1
        assert set(counts.values()) == {20}


def test_selection_and_test_episodes_are_balanced_each_by_themselves():
    for use in (True, False):
        episodes = [index for index in range(40) if is_selection_episode(index) == use]
        tasks = [task for index in episodes for task in draw_agenda(0, "validation", index)]
        assert all(tasks.count(task) == len(episodes) // 2 for task in TASK_NAMES)


@pytest.mark.slow
def test_a_reader_of_calvin_data_reads_it(collected):
    folder, report = collected
    assert report.training_episodes == 2
    assert report.training_frames == 2 * 96
    assert json.loads(json.dumps(asdict(report)))["validation_frames"] == 96
    training, validation = CalvinSplit(folder / "training"), CalvinSplit(folder / "validation")
    assert training.episodes.tolist() == [[0, 95], [96, 191]]
    assert validation.episodes.tolist() == [[192, 287]]
    assert training.layouts.shape[0] == 2
    frame = training.read_frame(100)
    assert frame.image_static.shape == (16, 16, 3)
    assert not (folder / ".play").exists()


@pytest.mark.slow
def test_annotations_are_segments_that_do_their_task(collected):
    folder, report = collected
    split = CalvinSplit(folder / "training")
    assert sum(report.segments["training"].values()) == len(split.annotations) > 0
    for note in split.annotations:
        start, end = split.read_frame(note.start).scene_obs, split.read_frame(note.end).scene_obs
        assert succeeded(TASKS[note.task], start, end)
        assert is_feasible(TASKS[note.task], start)
        assert note.sentence == TASKS[note.task].instruction


def test_labels_are_differences_of_measured_poses(collected):
    split = CalvinSplit(collected[0] / "training")
    frames = [split.read_frame(i) for i in range(20)]
    poses = np.array([frame.robot_obs for frame in frames])
    moved = np.clip(np.diff(poses[:, :3], axis=0) / 0.02, -1, 1)
    np.testing.assert_allclose([frame.action[:3] for frame in frames[:-1]], moved, atol=1e-12)


@pytest.mark.slow
def test_an_episode_depends_on_seed_split_and_number_alone():
    one = record_episode(SIM, TINY, "training", 1)
    same = record_episode(SIM, replace(TINY, training_episodes=9, workers=5), "training", 1)
    other = record_episode(SIM, TINY, "validation", 1)
    np.testing.assert_array_equal(one.rgb_static, same.rgb_static)
    np.testing.assert_array_equal(one.robot_obs, same.robot_obs)
    assert not np.array_equal(one.layout, other.layout)


@pytest.mark.slow
def test_a_missed_attempt_is_tried_again_and_then_succeeds(monkeypatch):
    tried, plan = [], play_episode.plan

    def clumsy(attempt, layout, scene, robot):
        tried.append((attempt.task, np.array(scene)))
        return [] if len(tried) == 1 else plan(attempt, layout, scene, robot)

    monkeypatch.setattr(play_episode, "plan", clumsy)
    recording = record_episode(SIM, replace(TINY, episode_frames=256), "training", 0)
    assert recording.tries == len(tried)
    assert recording.misses >= 1
    (first, before), (second, same), (_, after) = tried[:3]
    assert first == second
    np.testing.assert_array_equal(same, before)  # a plan of nothing does nothing
    assert succeeded(TASKS[first], before, after)


@pytest.mark.slow
def test_play_is_aimless_at_times():
    busy, idle = (
        record_episode(SIM, replace(TINY, episode_frames=256, aimless_probability=chance), "training", 0)
        for chance in (0.0, 1.0)
    )
    assert idle.tries < busy.tries


@pytest.mark.slow
def test_a_killed_collection_goes_on_and_gives_the_same_bytes(collected, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    recorded = []

    def record(sim, config, split, index):
        if len(recorded) == 1:
            raise KeyboardInterrupt
        recorded.append((split, index))
        return record_episode(sim, config, split, index)

    monkeypatch.setattr(play_records, "record_episode", record)
    with pytest.raises(KeyboardInterrupt):
        collect_play(folder, SIM, TINY)
    recorded[:] = [("resumed", 0)] * 2
    collect_play(folder, SIM, TINY)
    assert recorded[2:] == [("training", 1), ("validation", 0)]
    assert digests(folder) == digests(collected[0])


@pytest.mark.slow
def test_two_workers_give_the_same_bytes_as_one(collected, tmp_path):
    collect_play(tmp_path / "data", SIM, replace(TINY, workers=2))
    assert digests(tmp_path / "data") == digests(collected[0])


@pytest.mark.slow
def test_other_settings_discard_an_unfinished_collection(collected, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(play_records, "record_episode", stop)
        with pytest.raises(KeyboardInterrupt):
            collect_play(tmp_path / "data", SIM, replace(TINY, seed=4))
    collect_play(tmp_path / "data", SIM, TINY)
    assert digests(tmp_path / "data") == digests(collected[0])


def test_a_collection_killed_before_its_settings_were_kept_begins_anew(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    (tmp_path / "data/.play").mkdir(parents=True)
    (tmp_path / "data/.play/settings.partial").write_text("{")
    monkeypatch.setattr(play_records, "record_episode", stop)
    with pytest.raises(KeyboardInterrupt):
        collect_play(tmp_path / "data", SIM, TINY)
    assert json.loads((tmp_path / "data/.play/settings.json").read_text())["play"]["seed"] == 3


def test_a_finished_collection_is_returned_as_it_is(collected, monkeypatch):
    folder, report = collected
    monkeypatch.setattr(play_records, "record_episode", None)
    assert collect_play(folder, SIM, replace(TINY, workers=2)) == replace(report, seconds=0.0)
    with pytest.raises(FileExistsError, match="other settings"):
        collect_play(folder, SIM, replace(TINY, seed=4))


@pytest.mark.slow
def test_short_episodes_follow_the_training_episodes_with_layouts_of_their_own(collected, tmp_path):
    config = replace(TINY, short_episodes=3, short_episode_frames=5)
    folder = tmp_path / "data"
    collect_play(folder, SIM, config)
    split = CalvinSplit(folder / "training")
    lengths = (split.episodes[:, 1] - split.episodes[:, 0] + 1).tolist()
    assert lengths == [96, 96, 5, 5, 5]
    assert len(np.unique(split.layouts, axis=0)) == 5
    first = CalvinSplit(folder / "validation").episodes[0, 0]
    assert first == split.episodes[-1, 1] + 1
    without = digests(collected[0])
    frames = {path: digest for path, digest in digests(folder).items() if path.startswith("training/episode")}
    assert {path: frames[path] for path in without if path in frames} == {
        path: without[path] for path in without if path.startswith("training/episode")
    }


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("do not delete")
    with pytest.raises(FileExistsError, match="not empty"):
        collect_play(tmp_path, SIM, TINY)
    assert (tmp_path / "thesis.tex").exists()


def test_collection_gives_up_with_the_missing_tasks_named(tmp_path):
    config = replace(TINY, training_episodes=1, min_training_segments=5, max_episodes=1)
    with pytest.raises(RuntimeError, match="training open_drawer"):
        collect_play(tmp_path / "data", SIM, config)


@pytest.mark.slow
def test_collection_goes_on_until_the_counts_are_reached(tmp_path):
    config = replace(TINY, episode_frames=256, training_episodes=1, min_training_segments=1, round_episodes=1)
    report = collect_play(tmp_path / "data", SIM, config)
    assert report.training_episodes > 1
    assert min(report.segments["training"].values()) >= 1


@pytest.mark.slow
def test_short_episodes_may_begin_with_a_try_and_miss_on_purpose():
    short = replace(TINY, short_episode_frames=60, short_warm_up=False)
    sure, clumsy = (
        [record_episode(SIM, replace(short, short_miss_probability=chance), "short", i) for i in range(4)]
        for chance in (0.0, 1.0)
    )
    warm = record_episode(SIM, replace(short, short_warm_up=True), "short", 0)
    assert not np.array_equal(warm.robot_obs, sure[0].robot_obs)
    changed = [
        sum(abs(r.scene_obs[-1, :6] - r.scene_obs[0, :6]).max() > 0.1 for r in recordings)
        for recordings in (sure, clumsy)
    ]
    assert changed[0] >= 3  # doors are moved by 12 cm and more, lights switched
    assert changed[1] == 0


def test_short_episodes_begin_with_lights_as_often_as_with_doors():
    """They have little more than their first try; were it a door, no short episode would show a light."""
    first = [TASKS[draw_agenda(0, "short", index)[0]].quantity for index in range(200)]
    assert min(first.count(quantity) for quantity in set(first)) > 30
    assert len(set(first)) == len(FAMILIES)


def test_displaced_tries_hit_or_miss_and_stay_above_the_knob():
    rng = np.random.default_rng(0)
    for name, task in TASKS.items():
        offsets = np.array([draw_displacement(task, rng) for _ in range(200)])
        far = np.linalg.norm(offsets, axis=1)
        low, high = MISSES[task.quantity]
        assert (far < 0.6 * low).mean() > 0.2, name
        assert (far > low).mean() > 0.2, name
        assert far.max() < 1.1 * high + 0.03
        if task.quantity == SLIDER:
            assert offsets[:, 2].min() >= 0


@pytest.mark.slow
def test_displaced_tries_are_for_short_episodes_alone():
    short = replace(TINY, short_episode_frames=60, short_warm_up=False)
    displaced = replace(short, short_displaced_probability=1.0)
    straight, beside = (record_episode(SIM, page, "short", 1).robot_obs for page in (short, displaced))
    assert not np.array_equal(straight, beside)
    plain, other = (record_episode(SIM, page, "training", 0).robot_obs for page in (short, displaced))
    np.testing.assert_array_equal(plain, other)


@pytest.mark.slow
def test_misses_on_purpose_are_for_short_episodes_alone():
    plain, clumsy = (
        record_episode(SIM, replace(TINY, short_warm_up=warm, short_miss_probability=chance), "training", 0)
        for warm, chance in ((True, 0.0), (False, 1.0))
    )
    np.testing.assert_array_equal(plain.robot_obs, clumsy.robot_obs)
