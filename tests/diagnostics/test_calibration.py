"""The gap between imagined and real success: zero for like sequences, and never without an interval."""

# ruff: noqa: ARG002 - stand-ins have the signatures of what they stand for

import math

import numpy as np
import pandas as pd
import pytest
import torch
from toy_world import tiny_world_model

from wam.diagnostics.calibration import (
    IMAGINED,
    PRACTICE,
    REAL,
    SELECTION,
    ImaginedEpisodes,
    calibration_table,
    chance_gap,
    doubt,
    episode_rows,
    gap_interval,
    imagine_episodes,
    solved_by_probes,
    solved_by_step,
    summarise,
)
from wam.diagnostics.quantities import quantities
from wam.diagnostics.ridge import LinearProbes
from wam.diagnostics.trial import Trial
from wam.evaluation.rollout import RolloutResult
from wam.evaluation.success import wilson_interval
from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.rl.imagined_env import ImaginedEnv
from wam.sight.conditions import ImaginedSight, features_alone
from wam.tasks.starts import Start
from wam.tasks.table import DRAWER, LED
from wam.world_model.state import RSSMState

NAMES = tuple(quantity.name for quantity in quantities())


def rows_of(
    imagined: list[bool], real: list[bool], task: str = "open_drawer", steps: int = 20
) -> pd.DataFrame:
    """``imagined`` holds whole repeats of the starts one after another."""
    count = len(real)
    dreamt = ImaginedEpisodes(
        start=np.arange(len(imagined)) % count,
        success=np.array(imagined),
        steps=np.full(len(imagined), steps),
        start_feat=np.zeros((len(imagined), 2), np.float32),
        final_feat=np.zeros((len(imagined), 2), np.float32),
    )
    truth = RolloutResult(np.array(real), np.full(count, steps))
    return episode_rows(dreamt, dreamt.success, truth, task)


def test_like_sequences_have_no_gap() -> None:
    outcome = [True, False, False, True, False]
    rows = pd.concat([rows_of(outcome, outcome, task) for task in ("open_drawer", "turn_on_led")])
    table = calibration_table(rows)
    assert table["gap"].tolist() == [0.0, 0.0]
    assert (table["low"] < 0).all()
    assert (table["high"] > 0).all()
    summary = summarise(table, max_gap=0.15, seed=0)
    assert summary["mean_absolute_gap"] == summary["mean_gap"] == 0.0
    assert summary["trusted"] == 1.0
    curves = solved_by_step(rows, 4)
    real, imagined = (curves[curves["world"] == world]["rate"].tolist() for world in (REAL, IMAGINED))
    assert real == imagined


def test_rates_count_episodes_and_repeats_belong_to_their_start() -> None:
    rows = rows_of([True, True, True, False], [True, False])
    assert rows[rows["world"] == IMAGINED]["repeat"].tolist() == [0, 0, 1, 1]
    line = calibration_table(rows).iloc[0]
    assert (line["imagined"], line["real"], line["gap"]) == (0.75, 0.5, 0.25)
    assert (line["starts"], line["imagined_episodes"]) == (2, 4)


def test_starts_of_two_roles_are_apart() -> None:
    dreamt = ImaginedEpisodes(
        np.tile(np.arange(3), 2), np.ones(6, bool), np.full(6, 8), np.zeros((6, 2)), np.zeros((6, 2))
    )
    truth = RolloutResult(np.array([True, False, False]), np.full(3, 8))
    selection = rows_of([True, False], [True, False])
    practice = episode_rows(dreamt, dreamt.success, truth, "open_drawer", role=PRACTICE, first=2)
    rows = pd.concat([selection, practice])
    assert set(selection["start"]) | set(practice["start"]) == {0, 1, 2, 3, 4}
    assert rows.groupby("start")["role"].first().tolist() == [SELECTION] * 2 + [PRACTICE] * 3
    assert practice[practice["world"] == IMAGINED]["repeat"].tolist() == [0, 0, 0, 1, 1, 1]
    line = calibration_table(rows).iloc[0]
    assert (line["starts"], line["imagined_episodes"]) == (5, 8)
    assert (line["real"], line["imagined"]) == (0.4, 0.875)


def test_gaps_of_opposite_sign_do_not_cancel() -> None:
    rows = pd.concat([rows_of([True] * 4, [False] * 4), rows_of([False] * 4, [True] * 4, "close_drawer")])
    summary = summarise(calibration_table(rows), max_gap=0.15, seed=0)
    assert summary["mean_gap"] == 0.0
    assert summary["mean_absolute_gap"] == 1.0
    assert summary["trusted"] == 0.0


def test_the_interval_is_newcombes_and_never_empty() -> None:
    low_i, high_i = wilson_interval(9, 10)
    low_r, high_r = wilson_interval(4, 10)
    gap, low, high = gap_interval(0.9, 0.4, 10)
    assert gap == pytest.approx(0.5)
    assert low == pytest.approx(0.5 - math.sqrt((0.9 - low_i) ** 2 + (high_r - 0.4) ** 2))
    assert high == pytest.approx(0.5 + math.sqrt((high_i - 0.9) ** 2 + (0.4 - low_r) ** 2))
    gap, low, high = gap_interval(1.0, 0.0, 10)
    assert gap == high == 1.0
    assert 0 < low < 1


def test_chance_alone_makes_a_gap_that_shrinks_with_episodes() -> None:
    columns = {"real": [0.5] * 8, "imagined": [0.5] * 8}
    few = pd.DataFrame({**columns, "starts": 10, "imagined_episodes": 50})
    many = pd.DataFrame({**columns, "starts": 1000, "imagined_episodes": 5000})
    deviation = math.sqrt(0.25 / 10 + 0.25 / 50)
    assert chance_gap(few, seed=0) == pytest.approx(deviation * math.sqrt(2 / math.pi), rel=0.05)
    assert chance_gap(many, seed=0) == pytest.approx(chance_gap(few, seed=0) / 10, rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "doubted"), [(-0.1, 0.6, False), (0.2, 0.9, True), (-0.9, -0.2, True)]
)
def test_doubt_needs_the_whole_interval(low: float, high: float, doubted: bool) -> None:
    assert (doubt((low + high) / 2, low, high, 0.15) is not None) == doubted


def test_doubt_says_which_way_imagination_is_wrong() -> None:
    assert "cannot be trusted" in str(doubt(0.5, 0.3, 0.7, 0.15))
    assert "30 points less success" in str(doubt(-0.3, -0.5, -0.2, 0.15))
    assert "may succeed" in str(doubt(-0.3, -0.5, -0.2, 0.15))


def test_curves_rise_with_the_steps_of_the_solved() -> None:
    rows = rows_of([True, False], [True, False], steps=6)
    rows.loc[rows["world"] == REAL, "steps"] = [3, 12]
    curve = solved_by_step(rows, 4).query("world == 'real'").set_index("step")["rate"]
    assert curve.to_dict() == {0: 0.0, 4: 0.5, 8: 0.5, 12: 0.5}


class CountingModel:
    """The feature counts actions: deter[0] grows by the first action component."""

    def imagine_step(self, state: RSSMState, action: torch.Tensor, generator: torch.Generator) -> RSSMState:
        deter = state.deter.clone()
        deter[:, 0] += action[:, 0]
        return RSSMState(deter, state.stoch)


class Threshold:
    """Sees success where the first feature reaches 5."""

    feat_dim = 3

    def inputs(self, feat: torch.Tensor, start_feat: torch.Tensor) -> torch.Tensor:
        return feat

    def predict(self, feat: torch.Tensor) -> torch.Tensor:
        return feat[..., 0] >= 5


class Full:
    """Always moves by one."""

    def sample(self, cond: torch.Tensor, *, generator: torch.Generator, deterministic: bool) -> torch.Tensor:
        assert deterministic
        return torch.ones(len(cond), 4, 7)


def counting_env(num_envs: int, sight: ImaginedSight = features_alone) -> ImaginedEnv:
    """Episodes that begin at 0 and at -100, in turns."""
    return ImaginedEnv(
        CountingModel(),
        Threshold(),  # type: ignore[arg-type]
        RSSMState(torch.tensor([[0.0], [-100.0]]), torch.zeros(2, 1, 2)),
        num_envs=num_envs,
        imagine_steps=12,
        act_steps=4,
        generator=torch.Generator().manual_seed(0),
        sight=sight,
    )


def test_imagined_episodes_end_where_the_classifier_first_fires() -> None:
    env = counting_env(num_envs=4)
    start = np.array([0, 1, 0, 1])
    episodes = imagine_episodes(env, Full(), start, generator=torch.Generator())
    assert episodes.success.tolist() == [True, False, True, False]
    assert episodes.steps.tolist() == [8, 12, 8, 12]
    assert episodes.start_feat[:, 0].tolist() == [0, -100, 0, -100]
    assert episodes.final_feat[:, 0].tolist() == [8, -88, 8, -88]


def test_probes_read_features_whatever_the_policy_sees() -> None:
    env = counting_env(num_envs=2, sight=lambda feat: feat.new_full((len(feat), 18), 7.0))
    episodes = imagine_episodes(env, Full(), np.array([0, 1]), generator=torch.Generator())
    assert episodes.start_feat.tolist() == [[0, 0, 0], [-100, 0, 0]]
    assert episodes.final_feat.tolist() == [[8, 0, 0], [-88, 0, 0]]


def test_a_policy_whose_sight_cannot_be_imagined_is_not_tried() -> None:
    model = tiny_world_model()
    page = DiffusionConfig(hidden=8, standardize_condition=False, sees="features_and_proprio")
    policy = DiffusionPolicy(model.feat_dim + 18, page)
    with pytest.raises(ValueError, match="decodes no proprio;"):
        Trial(model, policy, [], "open_drawer", 8, 1, "executed", 0)


def drawer_probe(offset: float) -> LinearProbes:
    weight = np.zeros((2, len(NAMES)))
    weight[0, NAMES.index("drawer")] = weight[1, NAMES.index("led")] = 1.0
    bias = np.full(len(NAMES), offset)
    return LinearProbes(NAMES, weight, bias, np.zeros(len(NAMES)), np.zeros(len(NAMES)))


@pytest.mark.parametrize("offset", [0.0, 7.0])
def test_joints_are_judged_reading_against_reading(offset: float) -> None:
    scene = np.zeros(24)
    scene[DRAWER] = 0.02
    episodes = ImaginedEpisodes(
        np.array([0, 0]),
        np.array([True, True]),
        np.array([4, 4]),
        np.array([[3.0, 0.0], [3.0, 0.0]], np.float32),
        np.array([[15.5, 0.0], [14.5, 0.0]], np.float32),
    )
    solved = solved_by_probes(drawer_probe(offset), episodes, [Start(np.zeros(15), scene)], "open_drawer")
    assert solved.tolist() == [True, False]


def test_a_light_is_judged_from_its_true_state() -> None:
    scene = np.zeros(24)
    scene[LED] = 1.0
    feat = np.array([[0.0, 0.9], [0.0, 0.9]], np.float32)
    episodes = ImaginedEpisodes(np.array([0, 1]), np.array([True, True]), np.array([4, 4]), feat * 0, feat)
    starts = [Start(np.zeros(15), scene), Start(np.zeros(15), np.zeros(24))]
    assert solved_by_probes(drawer_probe(0.0), episodes, starts, "turn_on_led").tolist() == [False, True]
