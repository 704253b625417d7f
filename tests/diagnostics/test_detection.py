"""What a classifier is judged on in a policy's own rollouts, and in attempts seen and imagined."""

# ruff: noqa: ARG002 - stand-ins have the signatures of what they stand for

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from toy_world import tiny_world_model

from wam.diagnostics.detection import (
    IMAGINED,
    SEEN,
    PolicyFrames,
    WatchedAgent,
    judge_attempts,
    judge_policy_frames,
)
from wam.diagnostics.probes import misses
from wam.diagnostics.quantities import quantities, values
from wam.diagnostics.ridge import LinearProbes
from wam.diagnostics.trial import missed_on_policy_frames
from wam.evaluation.agent import WorldModelAgent
from wam.evaluation.rollout import rollout
from wam.policy.config import Sees
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig
from wam.sim.frames import SimFrames
from wam.tasks.starts import Start

DRAWER = 1


class Puller:
    """Start i pulls at speed i / 2."""

    sees: Sees = "features"

    def sample(self, cond: torch.Tensor, *, generator: torch.Generator, deterministic: bool) -> torch.Tensor:
        chunk = torch.zeros(len(cond), 4, 7)
        chunk[..., 0] = torch.arange(len(cond))[:, None] / 2
        return chunk


class Tables:
    """Drawers that move by 1 cm times the first action component; no physics."""

    def reset(self, starts: Sequence[Start], *, render: bool) -> SimFrames:
        self.scene = np.stack([start.scene_state for start in starts])
        return self.frames()

    def step(
        self, actions: np.ndarray, *, active: np.ndarray, render: bool, meanwhile: Callable[[], object]
    ) -> SimFrames:
        meanwhile()
        self.scene = self.scene.copy()
        self.scene[active, DRAWER] += 0.01 * actions[active, 0]
        return self.frames()

    def frames(self) -> SimFrames:
        image = np.zeros((len(self.scene), 64, 64, 3), np.uint8)
        return SimFrames(image, image, np.zeros((len(self.scene), 15)), self.scene.copy())


def always(feat_dim: int, *, solved: bool) -> RewardClassifier:
    page = ClassifierConfig(encoder_hidden=4, embed_dim=4, head_hidden=4, sees_start=True, standardize=False)
    classifier = RewardClassifier(feat_dim, page)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
        classifier.head[2].bias[int(solved)] = 1
    return classifier


@pytest.fixture(scope="module")
def watched() -> WatchedAgent:
    """Three drawers: one never moves, one opens at step 25, one at step 13; all linger for two steps."""
    model = tiny_world_model()
    agent = WatchedAgent(
        WorldModelAgent(model, Puller(), act_steps=4, start_repeats=2, seed=0), "open_drawer"
    )
    starts = [Start(np.zeros(15), np.zeros(24)) for _ in range(3)]
    result = rollout(Tables(), starts, "open_drawer", agent, max_steps=40, linger_steps=2)  # type: ignore[arg-type]
    np.testing.assert_array_equal(result.steps, [40, 25, 13])
    np.testing.assert_array_equal(result.success, [False, True, True])
    return agent


def test_every_frame_of_an_episode_is_kept_with_its_label(watched: WatchedAgent) -> None:
    frames = watched.frames()
    # the first frame, every one observed while running, and of two lingering steps all but the last
    assert np.bincount(frames.start).tolist() == [41, 1 + 25 + 1, 1 + 13 + 1]
    labels = pd.Series(frames.label).groupby(frames.start).sum()
    assert labels.tolist() == [0, 2, 2]
    opened = frames.scene_state[:, DRAWER] > 0.12 + 1e-9
    np.testing.assert_array_equal(opened, frames.label)


def test_start_features_are_those_of_the_first_frames(watched: WatchedAgent) -> None:
    frames = watched.frames()
    for start in range(3):
        mine = frames.start == start
        np.testing.assert_array_equal(frames.start_feat[mine], np.tile(frames.feat[mine][0], (mine.sum(), 1)))
    np.testing.assert_array_equal(watched.first.scene_state, np.zeros((3, 24)))


@pytest.mark.parametrize("solved", [True, False])
def test_frames_and_episodes_are_counted(watched: WatchedAgent, solved: bool) -> None:
    frames = watched.frames()
    judges = {"this": always(24, solved=solved), "other": always(24, solved=not solved)}
    row, other = (row for _, row in judge_policy_frames(judges, frames, "open_drawer").iterrows())
    assert (row["judge"], other["judge"]) == ("this", "other")
    assert other["recall"] == 1.0 - row["recall"]
    assert (row["positives"], row["negatives"]) == (4, 79)
    assert (row["solved_episodes"], row["failed_episodes"]) == (2, 1)
    assert row["recall"] == row["solved_noticed"] == row["failed_believed"] == float(solved)
    assert row["false_positive_rate"] == float(solved)
    assert np.isnan(row["precision"]) != solved


def test_probes_are_read_on_the_policys_frames(watched: WatchedAgent) -> None:
    frames = watched.frames()
    listed = quantities()
    zero = np.zeros(len(listed))
    probes = LinearProbes(tuple(q.name for q in listed), np.zeros((24, len(listed))), zero, zero, zero)
    starts = [Start(np.zeros(15), np.zeros(24)) for _ in range(3)]
    table = missed_on_policy_frames(probes, frames, starts, "open_drawer").set_index("quantity")
    truth = values(frames.robot_obs, frames.scene_state, None)
    wanted = misses(np.zeros_like(truth), truth, listed).sum(axis=0)
    np.testing.assert_allclose(table["missed"], wanted)
    assert table.loc["drawer", "missed"] == pytest.approx(100 * frames.scene_state[:, DRAWER].sum())
    assert (table["frames"] == len(frames.label)).all()


def test_seen_and_imagined_attempts_are_judged_on_the_same_frames() -> None:
    model = tiny_world_model()
    rng = np.random.default_rng(0)
    features = {
        "feat": rng.normal(size=(10, model.feat_dim)).astype(np.float32),
        "action": rng.uniform(-1, 1, (10, 7)).astype(np.float32),
        "proprio": rng.normal(size=(10, 18)).astype(np.float32),
        "segment": np.repeat([0, 1], 5),
        "context": np.ones(10, np.int8),
        "step": np.tile(np.arange(5), 2),
    }
    labels = pd.DataFrame(
        {
            "segment": features["segment"],
            "step": features["step"],
            "label": [False] * 3 + [True] * 2 + [False] * 5,
        }
    )
    judges = {"this": always(model.feat_dim, solved=True)}
    table = judge_attempts(model, judges, features, labels, "open_drawer", seed=0)
    table = table.set_index("frames_of")
    for kind in (SEEN, IMAGINED):
        assert (table.loc[kind, "positives"], table.loc[kind, "negatives"]) == (2, 6)
        assert table.loc[kind, "precision"] == 0.25
        assert (table.loc[kind, "solved_episodes"], table.loc[kind, "failed_episodes"]) == (1, 1)


def test_no_frame_is_shared_with_the_simulator(watched: WatchedAgent) -> None:
    assert isinstance(watched.frames(), PolicyFrames)
    assert watched.frames().scene_state[0].sum() == 0.0
