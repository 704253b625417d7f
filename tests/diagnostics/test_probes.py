"""Which quantities there are, on which frames probes are fitted and judged, and how they are scored."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_world import only_episode, tiny_world_model, toy_episodes

from wam.diagnostics.config import ProbeConfig, ToleranceConfig
from wam.diagnostics.frames import choose_episodes, judged_frames, only_episodes, training_blocks
from wam.diagnostics.probes import FEATURES, probe_metrics, score_probes
from wam.diagnostics.quantities import needed_for, quantities, quantities_called, values, values_at
from wam.sim.layout import LAYOUT_FIELDS
from wam.tasks.selection import is_selection_episode
from wam.tasks.table import BUTTON, DRAWER, LED, LIGHTBULB, SLIDER, SWITCH, TASK_NAMES

TOLERANCES = ToleranceConfig(arm=1.5, drawer=2.0, slider=2.0, light=0.95)
LISTED = quantities(LAYOUT_FIELDS)
NAMES = [quantity.name for quantity in LISTED]


def page(**options: Any) -> ProbeConfig:
    return ProbeConfig(
        **({"max_frames": 1000, "ridge": (0.1,), "max_episodes": 9, "sequences": 2} | options)  # type: ignore[arg-type]
    )


def test_values_are_centimetres_and_lights_are_off_or_on() -> None:
    scene = np.zeros((1, 24))
    scene[0, [SLIDER, DRAWER, BUTTON, SWITCH]] = 0.28, 0.11, 0.01, 0.088
    scene[0, [LIGHTBULB, LED]] = 0.9, 0.2
    robot = np.array([[0.1, -0.2, 0.5, *[9.0] * 12]])
    found = dict(zip(NAMES, values(robot, scene, np.full((1, 6), 0.3))[0], strict=True))
    assert [found[f"arm_{axis}"] for axis in "xyz"] == pytest.approx([10.0, -20.0, 50.0])
    assert [found[name] for name in ("slider", "drawer", "button", "switch")] == pytest.approx(
        [28, 11, 1, 8.8]
    )
    assert (found["bulb"], found["led"]) == (1.0, 0.0)
    assert found["layout_button_x"] == pytest.approx(30.0)


def test_without_a_recorded_layout_there_is_none_to_read() -> None:
    assert values(np.zeros((2, 15)), np.zeros((2, 24)), None).shape == (2, len(quantities()))
    assert quantities_called([quantity.name for quantity in quantities()]) == quantities()
    assert quantities_called(NAMES) == LISTED


@pytest.mark.parametrize("task", TASK_NAMES)
def test_every_task_turns_on_quantities_that_exist(task: str) -> None:
    needed = needed_for(task)
    assert set(needed) <= set(NAMES)
    assert len(needed) == len(set(needed)) >= 5


def test_training_frames_are_evenly_spread_and_one_stretch_in_five_is_held_back() -> None:
    episodes = toy_episodes([10] * 10)
    features = {"feat": np.arange(100.0)[:, None], "frame_id": episodes.frame_id}
    (inputs, truth, held_back), *rest = training_blocks(features, episodes, max_frames=40)
    assert rest == []
    np.testing.assert_array_equal(inputs[:, 0], np.arange(0, 100, 3))
    np.testing.assert_array_equal(truth, values_at(episodes, np.arange(0, 100, 3)))
    np.testing.assert_array_equal(held_back, (np.arange(0, 100, 3) // 10) % 5 == 4)


def test_proprioception_is_read_from_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wam.diagnostics.frames.BLOCK_ROWS", 7)
    episodes = toy_episodes()
    features = {"feat": np.zeros((59, 1)), "frame_id": episodes.frame_id}
    blocks = list(training_blocks(features, episodes, max_frames=30, proprio=True))
    assert len(blocks) > 3
    np.testing.assert_array_equal(np.concatenate([b[0] for b in blocks]), episodes.proprio[::2])


def test_probes_are_judged_on_episodes_of_selection_starts_alone() -> None:
    episodes = toy_episodes([4] * 40)
    chosen = choose_episodes(episodes, page(), seed=0)
    assert len(chosen) == 9
    assert all(is_selection_episode(int(index)) for index in chosen)
    everything = choose_episodes(episodes, page(episodes="validation", max_episodes=40), seed=0)
    assert everything.tolist() == list(range(40))


def test_pieces_of_an_episode_go_with_it() -> None:
    chosen = next(index for index in range(4) if is_selection_episode(index))
    episodes = replace(toy_episodes([4] * 3), source_episode=np.full(3, chosen))
    assert choose_episodes(episodes, page(), seed=0).tolist() == [0, 1, 2]


def test_without_episodes_of_selection_starts_the_setting_is_named() -> None:
    absent = next(index for index in range(4) if not is_selection_episode(index))
    episodes = replace(toy_episodes([4]), source_episode=np.array([absent]))
    with pytest.raises(ValueError, match=r"probes.episodes to validation"):
        choose_episodes(episodes, page(), seed=0)


def test_some_episodes_are_a_store_of_their_own() -> None:
    episodes = replace(toy_episodes(), layout=np.arange(18.0).reshape(3, 6))
    kept = only_episodes(episodes, np.array([2, 0]))
    np.testing.assert_array_equal(kept.proprio[:26], only_episode(episodes, 2).proprio)
    np.testing.assert_array_equal(kept.image_static[26:], only_episode(episodes, 0).image_static)
    assert kept.layout is not None
    np.testing.assert_array_equal(kept.layout, episodes.layout[[2, 0]])  # type: ignore[index]
    assert kept.episode_of([0, 26]).tolist() == [0, 1]


def test_judged_features_are_those_of_the_episodes_filtered_from_their_start() -> None:
    model, episodes = tiny_world_model(), toy_episodes()
    judged = judged_frames(model, episodes, page(episodes="validation"), seed=0, batch=2)
    assert judged.feat.shape == (59, model.feat_dim)
    assert np.isfinite(judged.feat).all()
    np.testing.assert_array_equal(judged.truth, values_at(episodes, np.arange(59)))
    np.testing.assert_array_equal(np.bincount(judged.episode), episodes.episode_length)


def scores(reading: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    table = score_probes(
        reading,
        truth,
        constant=np.zeros(len(LISTED)),
        episode=np.repeat(np.arange(10), len(truth) // 10),
        listed=LISTED,
        tolerances=TOLERANCES,
        reads=FEATURES,
        seed=0,
    )
    assert list(table["quantity"]) == NAMES
    return table.set_index("quantity").T.to_dict()


def test_errors_are_means_and_lights_are_counted() -> None:
    truth = np.random.default_rng(0).normal(scale=20, size=(100, len(LISTED)))
    reading = truth + 1.0
    for light in ("bulb", "led"):
        truth[:, NAMES.index(light)] = np.arange(100) % 2
    reading[:, NAMES.index("bulb")] = truth[:, NAMES.index("bulb")] * 0.2 + 0.4  # 0.4 or 0.6
    reading[:, NAMES.index("led")] = 0.0
    found = scores(reading, truth)
    assert found["drawer"]["score"] == found["drawer"]["low"] == pytest.approx(1.0)
    assert found["drawer"]["constant"] == pytest.approx(np.abs(truth[:, NAMES.index("drawer")]).mean())
    assert (found["bulb"]["score"], found["bulb"]["passes"]) == (1.0, 1.0)
    assert (found["led"]["score"], found["led"]["constant"], found["led"]["passes"]) == (0.5, 0.5, 0.0)
    assert found["arm_x"]["passes"] == 1.0
    assert np.isnan(found["switch"]["passes"])


def test_a_quantity_that_hardly_varies_is_not_known_by_guessing_it() -> None:
    truth = np.random.default_rng(0).normal(scale=0.5, size=(100, len(LISTED)))
    found = scores(np.zeros_like(truth), truth)
    assert found["drawer"]["score"] < 2.0
    assert found["drawer"]["passes"] == 0.0


def test_intervals_draw_whole_episodes() -> None:
    """Every frame of an episode misses alike: ten episodes, not a hundred frames, speak for the mean."""
    truth = np.zeros((100, len(LISTED)))
    reading = np.repeat(np.arange(10.0), 10)[:, None] * np.ones(len(LISTED))
    found = scores(reading, truth)["drawer"]
    assert found["score"] == pytest.approx(4.5)
    spread = np.arange(10.0).std() / np.sqrt(10)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_metrics_name_unit_and_count_passes() -> None:
    truth = np.random.default_rng(0).normal(scale=20, size=(100, len(LISTED)))
    table = score_probes(
        truth,
        truth,
        constant=np.zeros(len(LISTED)),
        episode=np.zeros(100, np.int64),
        listed=LISTED,
        tolerances=TOLERANCES,
        reads=FEATURES,
        seed=0,
    )
    metrics = probe_metrics(table)
    assert (metrics["drawer_error_cm"], metrics["led_accuracy"]) == (0.0, 1.0)
    assert metrics["judged"] == 7
    assert metrics["passed"] == 7
