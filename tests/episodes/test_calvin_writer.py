from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from calvin_folder import make_robot_obs, make_scene_obs
from hypothesis import given
from hypothesis import strategies as st

from wam.episodes.calvin_format import Annotation
from wam.episodes.calvin_writer import SplitWriter, relative_actions

MakeSplit = Callable[..., Path]
KEYS = {
    "actions": ((7,), np.float64),
    "rel_actions": ((7,), np.float64),
    "robot_obs": ((15,), np.float64),
    "scene_obs": ((24,), np.float64),
    "rgb_static": ((200, 200, 3), np.uint8),
    "rgb_gripper": ((84, 84, 3), np.uint8),
}


def slow_relative_action(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """CALVIN's rule, one number at a time."""
    action = np.zeros(7)
    for axis in range(3):
        action[axis] = min(max(after[axis] - before[axis], -0.02), 0.02) / 0.02
    for axis in range(3, 6):
        turn = after[axis] - before[axis]
        while turn >= np.pi:
            turn -= 2 * np.pi
        while turn < -np.pi:
            turn += 2 * np.pi
        action[axis] = min(max(turn, -0.05), 0.05) / 0.05
    action[6] = after[14]
    return action


@given(st.integers(0, 10_000))
def test_relative_actions_equal_the_slow_rule(seed: int) -> None:
    robot = make_robot_obs(6, np.random.default_rng(seed))
    absolute, relative = relative_actions(robot)
    expected = [slow_relative_action(robot[row], robot[row + 1]) for row in range(5)]
    np.testing.assert_allclose(relative, expected, atol=1e-9)
    np.testing.assert_array_equal(absolute[:, :6], robot[1:, :6])
    np.testing.assert_array_equal(absolute[:, 6], robot[1:, 14])


def test_roll_next_to_the_wrap_gives_a_small_action() -> None:
    robot = np.zeros((2, 15))
    robot[:, 3] = [np.pi - 0.01, -np.pi + 0.01]
    assert relative_actions(robot)[1][0, 3] == pytest.approx(0.4)


@pytest.mark.parametrize("training", [True, False])
def test_file_tree_is_calvins(training: bool, make_split: MakeSplit) -> None:
    folder = make_split(
        training=training, layouts=False, annotations=[Annotation("open_drawer", 10, 14, "open")]
    )
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    frames = {f"episode_{index:07d}.npz" for index in (10, 11, 12, 13, 14, 18, 19, 20, 21)}
    extra = {"scene_info.npy"} if training else {"lang_annotations/embeddings.npy"}
    described = {"ep_start_end_ids.npy", "ep_lens.npy", "statistics.yaml", ".hydra/merged_config.yaml"}
    assert files == frames | described | {"lang_annotations/auto_lang_ann.npy"} | extra


def test_frames_have_calvins_keys_shapes_and_types(make_split: MakeSplit) -> None:
    folder = make_split(lengths=(1,), static_size=200, gripper_size=84)
    with np.load(folder / "episode_0000010.npz") as data:
        assert {key: (data[key].shape, data[key].dtype) for key in data} == KEYS


def test_last_recorded_frame_yields_no_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((4, 8, 8, 3), np.uint8)
    ids = SplitWriter(tmp_path).write_episode(
        7,
        rgb_static=images,
        rgb_gripper=images,
        robot_obs=make_robot_obs(4, rng),
        scene_obs=make_scene_obs(4, rng),
    )
    assert ids == (7, 9)
    assert len(list(tmp_path.glob("*.npz"))) == 3


def test_side_files_hold_calvins_structure(make_split: MakeSplit) -> None:
    row = Annotation("open_drawer", 10, 14, "open")
    train, validation = (
        make_split(annotations=[row]),
        make_split("validation", annotations=[row], training=False),
    )
    language = np.load(train / "lang_annotations" / "auto_lang_ann.npy", allow_pickle=True).item()
    assert language["language"]["task"] == ["open_drawer"]
    assert language["language"]["emb"].shape == (1, 1, 384)
    assert np.isnan(language["language"]["emb"]).all()
    assert language["info"] == {"indx": [(10, 14)], "episodes": []}
    embeddings = np.load(validation / "lang_annotations" / "embeddings.npy", allow_pickle=True).item()
    assert embeddings["open_drawer"]["ann"] == ["open"]
    np.testing.assert_array_equal(np.load(train / "ep_lens.npy"), [5, 4])
    assert np.load(train / "scene_info.npy", allow_pickle=True).item() == {"calvin_scene_D": [10, 21]}
    statistics = yaml.safe_load((train / "statistics.yaml").read_text())
    assert len(statistics["robot_obs"][0]["mean"]) == 15
    assert len(statistics["scene_obs"][0]["std"]) == 24
    assert len(statistics["act_max_bound"]) == 7


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((4, 8, 8, 3), np.uint8)
    robot, scene = make_robot_obs(4, rng), make_scene_obs(4, rng)
    writer = SplitWriter(tmp_path)
    with pytest.raises(ValueError, match=r"robot_obs must have shape \(N, 15\)"):
        writer.write_episode(
            0, rgb_static=images, rgb_gripper=images, robot_obs=robot[:, :14], scene_obs=scene
        )
    with pytest.raises(ValueError, match="rgb_gripper must have shape"):
        writer.write_episode(0, rgb_static=images, rgb_gripper=images[:2], robot_obs=robot, scene_obs=scene)
    with pytest.raises(ValueError, match="scene_obs must have shape"):
        writer.write_episode(
            0, rgb_static=images, rgb_gripper=images, robot_obs=robot, scene_obs=scene[:, :5]
        )
    assert not list(tmp_path.iterdir())


def test_layouts_must_fit_their_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    states = {"robot_obs": make_robot_obs(4, rng), "scene_obs": make_scene_obs(4, rng)}
    episodes = np.array([[0, 3]])
    with pytest.raises(ValueError, match="layouts are missing"):
        SplitWriter(tmp_path, ("x",)).finish(episodes=episodes, annotations=[], training=True, **states)
    with pytest.raises(ValueError, match=r"layouts must have shape \(1, 1\), got \(1, 2\)"):
        SplitWriter(tmp_path, ("x",)).finish(
            episodes=episodes, annotations=[], training=True, layouts=np.zeros((1, 2)), **states
        )
    assert not (tmp_path / "ep_start_end_ids.npy").exists()
