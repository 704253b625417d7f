"""What the classifiers of one task learn from and are judged on, and how their quality is told."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from numpy.typing import NDArray
from toy_world import CARRIED, tiny_world_model, toy_episodes

from wam.datasets import Arrays
from wam.demonstrations.failures import ROLES
from wam.demonstrations.play_pairs import PLAY, PlayFrames, PlayPairs
from wam.demonstrations.reward_sets import IMAGINED, REAL
from wam.episodes.loaded import Episodes
from wam.episodes.statistics import ProprioStatistics
from wam.pipelines.pages import ComputeConfig
from wam.pipelines.rewards import nodes
from wam.pipelines.rewards.nodes import quality, readout_quality_on
from wam.pipelines.rewards.sets import Draw, RewardSets, TaskFrames, proprio_sets, world_model_sets
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig, ReadoutConfig, ReadoutTrainingConfig
from wam.reward.readout import ReadoutJudge, SceneReadout
from wam.reward.readout_training import train_readout
from wam.sim.expert_runs import VARIANTS
from wam.tasks.table import DRAWER, QUANTITIES, SCENE_UNITS, TASK_NAMES, TASKS
from wam.training.config import OptimizerConfig
from wam.world_model.model import WorldModel
from wam.world_model.scene import SCENE_DIM, carried_scene

FRAMES = 8
CONTEXTS = 2


class InMemory(dict[str, np.ndarray]):
    """Arrays as the catalog hands them out, without a disk."""

    def lazily(self) -> Mapping[str, Any]:
        return self


def drawer_attempts() -> InMemory:
    """One start per role, an attempt of every kind; the full ones alone open the drawer, by 4 cm a frame."""
    rng = np.random.default_rng(0)
    kinds = [VARIANTS.index(kind) for _ in ROLES for kind in VARIANTS]
    count = len(kinds) * FRAMES
    scene = np.zeros((count, 24))
    for attempt, kind in enumerate(kinds):
        opening = 0.04 * np.arange(FRAMES) if VARIANTS[kind] == "full" else np.zeros(FRAMES)
        scene[attempt * FRAMES : (attempt + 1) * FRAMES, DRAWER] = opening
    images = rng.integers(0, 256, (2, count, 64, 64, 3), np.uint8)
    return InMemory(
        image_static=images[0],
        image_gripper=images[1],
        action=rng.uniform(-1, 1, (count, 7)).astype(np.float32),
        proprio=rng.normal(size=(count, 18)).astype(np.float32),
        robot_obs=rng.normal(size=(count, 15)),
        scene_state=scene,
        attempt_task=np.full(len(kinds), TASK_NAMES.index("open_drawer")),
        attempt_role=np.repeat(np.arange(len(ROLES)), len(VARIANTS)),
        attempt_kind=np.array(kinds),
        attempt_frames=np.full(len(kinds), FRAMES),
        attempt_success=np.array([VARIANTS[kind] == "full" for kind in kinds]),
    )


def task_frames(feat_dim: int, contexts: int) -> TaskFrames:
    """One demonstration of 8 frames, solved in the last four, and the attempts."""
    rng = np.random.default_rng(1)
    count = FRAMES * contexts
    step = np.tile(np.arange(FRAMES), contexts)
    feat = np.zeros((count, feat_dim), np.float32)
    feat[:, 0] = np.arange(count)
    features = {
        "feat": feat,
        "action": rng.uniform(-1, 1, (count, 7)).astype(np.float32),
        "proprio": rng.normal(size=(count, 18)).astype(np.float32),
        "segment": np.zeros(count, np.int64),
        "context": np.repeat(np.arange(contexts), FRAMES),
        "step": step,
    }
    labels = pd.DataFrame({"segment": 0, "step": np.arange(FRAMES), "label": np.arange(FRAMES) >= 4})
    return TaskFrames(features, labels, drawer_attempts(), "open_drawer")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return tiny_world_model()


@pytest.fixture(scope="module")
def seeing(model: WorldModel) -> RewardSets:
    frames = task_frames(model.feat_dim, CONTEXTS)
    return world_model_sets(model, frames, Draw(negatives=2, seed=0), start_repeats=2)


@pytest.fixture(scope="module")
def blind() -> RewardSets:
    statistics = ProprioStatistics(-np.ones(18), np.ones(18))
    return proprio_sets(task_frames(18, 1), statistics, Draw(negatives=2, seed=0))


def test_play_is_learned_from_besides_and_not_judged_by(model: WorldModel, seeing: RewardSets) -> None:
    frames, draw = task_frames(model.feat_dim, CONTEXTS), Draw(negatives=2, seed=0)
    label, width = np.array([True, False, True, False]), model.feat_dim

    def features(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.repeat(rows[:, None].astype(np.float32), width, axis=1)

    pairs = PlayPairs(start=np.array([3, 1, 4, 1]), end=np.array([5, 9, 6, 2]), label=label)
    play = PlayFrames(pairs, np.zeros((4, 18), np.float32), features, width)
    got = world_model_sets(model, frames, draw, start_repeats=2, play=play)
    assert len(got.training) == len(seeing.training) + 4
    mine = got.training.rows(got.training.kind == PLAY)
    assert mine.label.tolist() == label.tolist(), "kept whole, whatever is balanced"
    assert mine.feat[:, 0].tolist() == pairs.end.tolist()
    assert mine.start_feat[:, -1].tolist() == pairs.start.tolist()
    others = got.training.rows(got.training.kind != PLAY)
    assert np.array_equal(others.with_start, seeing.training.with_start)
    assert np.array_equal(got.held_out.frames.feat, seeing.held_out.frames.feat)


def test_demonstrations_and_attempts_are_learned_from_seen_and_imagined(seeing: RewardSets) -> None:
    counts = pd.Series(seeing.training.kind).value_counts().to_dict()
    # Per episode all successes (4 frames) and 2 others: 2 contexts of the demonstration, 4 attempts.
    assert counts == {
        REAL: CONTEXTS * 6,
        "full": 6,
        "short": 2,
        "beside": 2,
        "redundant": 2,
        IMAGINED: CONTEXTS * 6 + 6 + 3 * 2,
    }


def test_sampled_starts_are_followed_by_successes_too(seeing: RewardSets) -> None:
    training = seeing.training
    solved, failed = training.kind == "full", np.isin(training.kind, ["short", "beside", "redundant"])
    assert training.label[solved].any()
    assert not training.label[failed].any()


def test_the_control_learns_the_same_without_imagination(blind: RewardSets, seeing: RewardSets) -> None:
    assert set(blind.training.kind) == set(seeing.training.kind) - {IMAGINED}
    assert blind.training.inputs(sees_start=True).shape[1] == 36
    np.testing.assert_array_equal(blind.held_out.frames.label, seeing.held_out.frames.label)
    np.testing.assert_array_equal(blind.held_out.frames.kind, seeing.held_out.frames.kind)


@pytest.mark.parametrize("who", ["seeing", "blind"])
def test_at_least_as_many_failures_as_successes(who: str, request: pytest.FixtureRequest) -> None:
    label = request.getfixturevalue(who).held_out.frames.label
    assert 0 < label.sum() <= (~label).sum()


def always_solved(feat_dim: int, *, sees_start: bool) -> RewardClassifier:
    page = ClassifierConfig(
        encoder_hidden=4, embed_dim=4, head_hidden=4, sees_start=sees_start, standardize=False
    )
    classifier = RewardClassifier(feat_dim, page)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
        classifier.head[2].bias[1] = 1
    return classifier


@pytest.mark.parametrize("sees_start", [True, False])
def test_nothing_is_undecidable_for_a_classifier_that_sees_the_start(
    seeing: RewardSets, model: WorldModel, sees_start: bool
) -> None:
    row = quality(always_solved(model.feat_dim, sees_start=sees_start), seeing, "open_drawer")
    frames = seeing.held_out.frames
    negatives = ~frames.label
    assert row["recall"] == 1.0
    assert row["precision"] == pytest.approx(frames.label.mean())
    counted = frames.kind != "redundant" if not sees_start else np.ones(len(frames), bool)
    assert row["decidable_precision"] == pytest.approx(frames.label[counted].mean())
    assert row["decidable_recall"] == 1.0
    assert row["false_positive_rate_redundant"] == 1.0
    assert (negatives & (frames.kind == "redundant")).any()


def test_both_judges_are_judged_on_the_same_attempts(seeing: RewardSets, model: WorldModel) -> None:
    """Untrained: what it says is arbitrary, but says it of the same frames."""
    torch.manual_seed(0)
    judge = ReadoutJudge(
        SceneReadout(model.feat_dim, ReadoutConfig(hidden=(4,), length_unit=1.0)), TASKS["open_drawer"]
    )
    frames = seeing.held_out.frames
    said = judge.predict(torch.from_numpy(frames.inputs(sees_start=True))).numpy()
    got = readout_quality_on(judge, seeing)
    assert 0 < said.sum() < len(said)
    assert got["readout_precision"] == pytest.approx(frames.label[said].mean())
    assert got["readout_recall"] == pytest.approx(said[frames.label].mean())


class _Store:
    """Episodes as the catalog hands them out."""

    def load(self, *, images: bool) -> Episodes:
        assert not images
        return toy_episodes((6, 7, 5, 8))


def test_the_readout_meets_features_with_their_scenes_and_holds_back_episodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    episodes = toy_episodes((6, 7, 5, 8))
    order = np.random.default_rng(0).permutation(episodes.num_frames)
    group = zarr.group()
    group["frame_id"] = episodes.frame_id[order]
    group["feat"] = episodes.scene_state[order].astype(np.float32)
    seen = {}

    def spy(feat, scene_state, held_back, *arguments, **options):
        seen.update(feat=feat, scene=scene_state, held_back=held_back)
        return train_readout(feat, scene_state, held_back, *arguments, **options)

    monkeypatch.setattr(nodes, "train_readout", spy)
    training = ReadoutTrainingConfig(
        optimizer=OptimizerConfig(learning_rate=1e-3), steps=1, batch=4, max_frames=20, hold_back=2
    )
    page = ReadoutConfig(hidden=(4,), length_unit=0.05)
    compute = ComputeConfig(device="cpu", workers=1)
    model = tiny_world_model().to_checkpoint()
    checkpoint, errors = nodes.train_scene_readout(
        model,
        Arrays(group),
        _Store(),  # type: ignore[arg-type]
        page,
        training,
        compute,
        seed=0,
    )
    np.testing.assert_allclose(seen["feat"], seen["scene"], rtol=1e-6)
    assert len(seen["feat"]) == 13  # every second frame: more than 20 there may not be
    chosen = order[::2]
    np.testing.assert_array_equal(seen["held_back"], episodes.episode_of(chosen) % 2 == 1)
    assert checkpoint.kind == "scene_readout"
    assert errors["task"] == "all"


def test_a_scene_that_is_carried_is_copied_and_judged_on_episodes_held_back() -> None:
    model, episodes = tiny_world_model(**CARRIED["carries_all"]), toy_episodes((6, 7, 5, 8))
    at, read = model.config.scene_at, carried_scene(torch.from_numpy(episodes.scene_state).float())
    assert at is not None
    feat = np.random.default_rng(0).random((episodes.num_frames, model.feat_dim)).astype(np.float32)
    feat[:, at : at + SCENE_DIM] = read
    feat[episodes.episode_of(np.arange(episodes.num_frames)) % 2 == 1, at] += 0.3
    group = zarr.group()
    group["frame_id"], group["feat"] = episodes.frame_id, feat
    training = ReadoutTrainingConfig(
        optimizer=OptimizerConfig(learning_rate=1e-3), steps=1, batch=4, max_frames=99, hold_back=2
    )
    page, compute = ReadoutConfig(hidden=(4,), length_unit=0.05), ComputeConfig(device="cpu", workers=1)
    arguments = (model.to_checkpoint(), Arrays(group), _Store(), page, training, compute)
    checkpoint, errors = nodes.train_scene_readout(*arguments, seed=0)  # type: ignore[arg-type]
    readout = SceneReadout.from_checkpoint(checkpoint)
    want = episodes.scene_state[:, QUANTITIES].astype(np.float32)
    torch.testing.assert_close(readout.read(torch.from_numpy(feat))[:, 1:], torch.from_numpy(want)[:, 1:])
    assert not list(readout.parameters()), "nothing was learned"
    assert errors["slider_m"] == pytest.approx(0.3 * SCENE_UNITS[0], rel=1e-4)
    assert errors["drawer_m"] == pytest.approx(0.0, abs=1e-6)
