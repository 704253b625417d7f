"""The scene that is read off features, and the judge that asks the oracle's rule of it."""

import numpy as np
import pytest
import torch

from wam.reward.config import ReadoutConfig, ReadoutTrainingConfig
from wam.reward.judge import JUDGES, judge_of
from wam.reward.readout import QUANTITIES, ReadoutJudge, SceneReadout
from wam.reward.readout_training import NAMES, train_readout
from wam.tasks.predicates import succeeded
from wam.tasks.table import DRAWER, LED, LIGHTBULB, SLIDER, TASK_NAMES, TASKS
from wam.training.checkpoint import load_checkpoint, save_checkpoint
from wam.training.config import OptimizerConfig

WIDTH = 12
PAGE = ReadoutConfig(hidden=(32,), length_unit=0.05)
TRAINING = ReadoutTrainingConfig(
    optimizer=OptimizerConfig(learning_rate=1e-2), steps=300, batch=64, max_frames=1000, hold_back=5
)


def scenes(count: int, seed: int = 0) -> np.ndarray:
    """Random openings and lights."""
    rng = np.random.default_rng(seed)
    scene = np.zeros((count, 24))
    scene[:, SLIDER] = rng.uniform(0, 0.28, count)
    scene[:, DRAWER] = rng.uniform(0, 0.22, count)
    scene[:, [LIGHTBULB, LED]] = rng.integers(0, 2, (count, 2))
    return scene


def features_of(scene: np.ndarray) -> np.ndarray:
    """A mixture of the scene's quantities, and of numbers that have nothing to do with them."""
    rng = np.random.default_rng(7)
    mixture = rng.normal(size=(len(QUANTITIES), WIDTH))
    scale = np.array([10.0 if index in (SLIDER, DRAWER) else 1.0 for index in QUANTITIES])
    noise = rng.normal(size=(len(scene), WIDTH)) * 1e-3
    return ((scene[:, QUANTITIES] * scale) @ mixture + noise).astype(np.float32)


@pytest.fixture(scope="module")
def trained() -> tuple[SceneReadout, dict[str, float]]:
    scene = scenes(600)
    held_back = np.arange(600) % 5 == 4
    return train_readout(features_of(scene), scene, held_back, PAGE, TRAINING, seed=1)


def test_it_reads_scenes_that_it_has_not_seen(trained) -> None:
    readout, errors = trained
    assert set(errors) == set(NAMES.values())
    assert errors["bulb"] > 0.98
    assert errors["led"] > 0.98
    assert errors["drawer_m"] < 0.01
    scene = scenes(200, seed=3)
    read = readout.read(torch.from_numpy(features_of(scene))).detach().numpy()
    for place, index in enumerate(QUANTITIES):
        assert np.abs(read[:, place] - scene[:, index]).mean() < 0.02


@pytest.mark.slow
def test_frames_held_back_are_not_learned_from() -> None:
    scene = scenes(100)
    held_back = np.arange(100) >= 80
    lies = scene.copy()
    lies[held_back] = scenes(20, seed=9)
    feat = features_of(scene)
    one, first = train_readout(feat, scene, held_back, PAGE, TRAINING, seed=1)
    other, second = train_readout(feat, lies, held_back, PAGE, TRAINING, seed=1)
    assert one.to_checkpoint().digest == other.to_checkpoint().digest
    assert first != second


@pytest.mark.slow
def test_training_is_a_function_of_its_seed() -> None:
    scene, nothing = scenes(100), np.zeros(100, np.bool_)
    runs = [train_readout(features_of(scene), scene, nothing, PAGE, TRAINING, seed=s) for s in (1, 1, 2)]
    digests = [readout.to_checkpoint().digest for readout, _ in runs]
    assert digests[0] == digests[1] != digests[2]
    assert runs[0][1] == {}


@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_judge_decides_as_the_oracle_does(trained, task: str) -> None:
    """Where nothing is close: the oracle is strict and the readout a centimetre off."""
    start, end = scenes(400, seed=4), scenes(400, seed=5)
    row = TASKS[task]
    clear = np.abs((end - start)[:, row.quantity] - row.delta) > 0.03
    clear |= row.is_light
    judge = ReadoutJudge(trained[0], row)
    shown = judge.inputs(*(torch.from_numpy(features_of(scene)) for scene in (end, start)))
    want = succeeded(row, start, end)
    assert 0 < want[clear].mean() < 1
    np.testing.assert_array_equal(judge.predict(shown).numpy()[clear], want[clear])


@pytest.mark.parametrize("task", [name for name in TASK_NAMES if not TASKS[name].is_light])
def test_slack_moves_the_threshold_of_doors_alone(trained, task: str) -> None:
    row = TASKS[task]
    start, end = scenes(400, seed=4), scenes(400, seed=5)
    shown = [torch.from_numpy(features_of(scene)) for scene in (end, start)]
    strict, lenient = (ReadoutJudge(with_slack(trained[0], slack), row) for slack in (0.0, 0.02))
    change = (trained[0].read(shown[0]) - trained[0].read(shown[1]))[:, QUANTITIES.index(row.quantity)]
    change = change.detach().numpy() * np.sign(row.delta)
    got = [judge.predict(judge.inputs(*shown)).numpy() for judge in (strict, lenient)]
    np.testing.assert_array_equal(got[0], change > abs(row.delta))
    between = (change > abs(row.delta) - 0.02) & (change <= abs(row.delta))
    assert between.any()
    np.testing.assert_array_equal(got[1], got[0] | between)


def with_slack(readout: SceneReadout, slack: float) -> SceneReadout:
    checkpoint = readout.to_checkpoint()
    checkpoint.config["readout"]["slack"] = slack
    return SceneReadout.from_checkpoint(checkpoint)


def test_one_start_serves_all_steps_of_an_episode(trained) -> None:
    judge = ReadoutJudge(trained[0], TASKS["open_drawer"])
    feat = torch.randn(3, 5, WIDTH)
    decided = judge.predict(judge.inputs(feat, feat[:, :1]))
    assert decided.shape == (3, 5)
    assert not decided[:, 0].any()


def test_it_survives_disk_and_is_the_judge_that_was_asked_for(trained, tmp_path) -> None:
    save_checkpoint(tmp_path / "readout", trained[0].to_checkpoint())
    kept = load_checkpoint(tmp_path / "readout")
    judge = judge_of("readout", "turn_on_led", classifier=kept, readout=kept)
    assert isinstance(judge, ReadoutJudge)
    feat = torch.randn(4, WIDTH)
    torch.testing.assert_close(judge.readout.read(feat), trained[0].read(feat))
    assert "readout" in JUDGES
    with pytest.raises(ValueError, match="scene_readout"):
        judge_of("classifier", "turn_on_led", classifier=kept, readout=kept)


def test_pages_tell_judges_of_the_same_weights_apart(trained) -> None:
    pages = [ReadoutJudge(trained[0], row).page for row in TASKS.values()]
    assert len({repr(page) for page in pages}) == len(TASK_NAMES)


@pytest.mark.parametrize("wrong", ["rows", "none", "nan"])
def test_bad_input_is_refused(wrong: str) -> None:
    scene = scenes(20)
    feat, held_back = features_of(scene), np.zeros(20, np.bool_)
    if wrong == "rows":
        scene = scene[:-1]
    elif wrong == "none":
        held_back[:] = True
    else:
        feat[3, 2] = np.nan
    message = {"rows": "one of each", "none": "no frame is left", "nan": "not finite"}[wrong]
    with pytest.raises(ValueError, match=message):
        train_readout(feat, scene, held_back, PAGE, TRAINING, seed=1)
