"""LUMOS (nematoli/lumos): its cached loader of windows, and its script that shrinks a CALVIN folder.

Its loader needs ``hydra-core`` and ``pytorch-lightning`` on the import path, as ``lumos.py`` says.
"""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import stand_in, use_folder
from wam.episodes.store import Episodes


def write_cache(folder: Path, episodes: Episodes) -> None:
    """The file that its loader keeps of a data set, and what it looks for beside it."""
    folder.mkdir(parents=True)
    frames = {
        number: {
            "actions": episodes.action[number].astype(np.float64),
            "rel_actions": episodes.action[number].astype(np.float64),
            "robot_obs": episodes.robot_obs[number],
            "scene_obs": episodes.scene_state[number],
            "rgb_static": episodes.image_static[number],
            "rgb_gripper": episodes.image_gripper[number],
        }
        for number in range(episodes.num_frames)
    }
    with (folder / "cached_data.pkl").open("wb") as stream:
        pickle.dump(frames, stream)
    last = episodes.episode_start + episodes.episode_length - 1
    np.save(folder / "ep_start_end_ids.npy", np.stack([episodes.episode_start, last], axis=1))
    np.savez(folder / "episode_0000000.npz")


def batches(folder: Path, data: Path, steps: int) -> Callable[[NDArray[np.int64]], Any]:
    """A function from first frames to a batch of windows, by its cached loader and its collation.

    Args:
        folder: Its checkout.
        data: What :func:`write_cache` wrote, below a folder called ``training``.
        steps: Frames of a window.
    """
    use_folder(folder, "lumos/datasets/wm_disk_dataset.py")
    # only validation windows of varying length are hashed
    stand_in("pyhash", fnv1_32=lambda: hash)
    from lumos.datasets.wm_disk_dataset import WMDiskDataset  # noqa: PLC0415 - only now is it on the path
    from lumos.utils.nn_utils import transpose_collate_wm  # noqa: PLC0415
    from lumos.utils.transforms import NormalizeVector, ScaleImageTensor  # noqa: PLC0415
    from omegaconf import OmegaConf  # noqa: PLC0415

    scale = ScaleImageTensor()

    def image(x: Any) -> Any:
        return (scale(x) - 0.5).div_(0.5)  # torchvision's Normalize, without torchvision

    robot = NormalizeVector([0.0] * 15, [1.0] * 15)
    space = {"rgb_obs": ["rgb_static", "rgb_gripper"], "depth_obs": [], "state_obs": ["robot_obs"]}
    space |= {"actions": ["rel_actions"], "language": []}
    proprio = {"n_state_obs": 15, "keep_indices": [[0, 15]], "robot_orientation_idx": [3, 6]}
    proprio |= {"normalize": True, "normalize_robot_orientation": True}
    dataset = WMDiskDataset(
        datasets_dir=data,
        obs_space=OmegaConf.create(space),
        proprio_state=OmegaConf.create(proprio),
        key="vis",
        lang_folder="",
        num_workers=0,
        transforms={"rgb_static": image, "rgb_gripper": image, "robot_obs": robot},
        min_window_size=steps,
        max_window_size=steps,
        pad=False,
        for_wm=True,
        use_cached_data=True,
        reset_prob=0.01,
    )
    place = {int(frame): index for index, frame in enumerate(dataset.episode_lookup)}

    def batch(first: NDArray[np.int64]) -> Any:
        return transpose_collate_wm([dataset[place[frame]] for frame in first.tolist()])

    return batch


def shrink(folder: Path, source: Path, target: Path) -> None:
    """Its preprocessing script over the splits of a CALVIN folder."""
    use_folder(folder, "scripts/preprocess_calvin_dataset.py")
    from omegaconf import OmegaConf  # noqa: PLC0415 - its packages are only now on the path
    from scripts.preprocess_calvin_dataset import process_dataset  # noqa: PLC0415

    shutil.rmtree(target, ignore_errors=True)
    keys = ["actions", "rel_actions", "robot_obs", "scene_obs", "rgb_static", "rgb_gripper"]
    page = {"input_dir": str(source), "output_dir": str(target), "desired_keys": keys}
    process_dataset.__wrapped__(OmegaConf.create(page | {"desired_resolution": 64}))


def shrunk_images(target: Path, frame_name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The pictures it wrote of a frame of the training split."""
    with np.load(target / "training" / frame_name) as data:
        return data["rgb_static"], data["rgb_gripper"]
