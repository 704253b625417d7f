"""What n tables show at one moment, and putting such batches together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ROBOT_OBS_DIM, SCENE_STATE_DIM

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class SimFrames:
    """What n tables show at one moment.

    Attributes:
        image_static: (n, h, w, 3) uint8 static camera, None when the frames were not rendered.
        image_gripper: (n, h, w, 3) uint8 wrist camera, None when the frames were not rendered.
        robot_obs: (n, 15) float64, CALVIN's robot vector.
        scene_state: (n, 24) float64, CALVIN's scene vector.
        solved: (n, 8) bool, the table's own verdict on each task of the task table since the reset; None
            where the table has no judge of its own and scene states decide.
    """

    image_static: NDArray[np.uint8] | None
    image_gripper: NDArray[np.uint8] | None
    robot_obs: NDArray[np.float64]
    scene_state: NDArray[np.float64]
    solved: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.robot_obs)


def frames_of(
    observations: Sequence[dict[str, Any]], infos: Sequence[dict[str, Any]] | None = None
) -> SimFrames:
    """Stack observations of tables into one `SimFrames`; black images where only others have some.

    Args:
        observations: One for each table.
        infos: What `reset` or `step` said beside each; their `solved` is kept where it is there.
    """
    judged = bool(infos) and all("solved" in info for info in infos or ())
    images = [obs["rgb_obs"] for obs in observations]
    return SimFrames(
        image_static=_stack_images(images, "rgb_static"),
        image_gripper=_stack_images(images, "rgb_gripper"),
        robot_obs=np.array([o["robot_obs"] for o in observations], np.float64).reshape(-1, ROBOT_OBS_DIM),
        scene_state=np.array([o["scene_obs"] for o in observations], np.float64).reshape(-1, SCENE_STATE_DIM),
        solved=np.stack([info["solved"] for info in infos or ()]) if judged else None,
    )


def _stack_images(images: Sequence[dict[str, NDArray[np.uint8]]], camera: str) -> NDArray[np.uint8] | None:
    """Images of one camera, None when no table was drawn."""
    drawn = next((shown[camera] for shown in images if shown), None)
    if drawn is None:
        return None
    return np.stack([shown[camera] if shown else np.zeros_like(drawn) for shown in images])


def gather_frames(
    n: int, parts: Sequence[SimFrames], rows: Sequence[NDArray[np.int64]], last: SimFrames | None
) -> SimFrames:
    """Put parts of a batch of frames into their rows, over what those rows showed last.

    Args:
        n: Number of rows.
        parts: Frames of some rows each; every image or none of a part is there.
        rows: (len(part),) row numbers of each part.
        last: The n frames before; None at the beginning.

    Returns:
        The n frames; a row in no part keeps its last frame and image, zeros if it had none. The images of a
        part without any are black, as those of a table that was not drawn beside others that were.
    """
    robot = np.zeros((n, ROBOT_OBS_DIM)) if last is None else last.robot_obs.copy()
    scene = np.zeros((n, SCENE_STATE_DIM)) if last is None else last.scene_state.copy()
    for part, row in zip(parts, rows, strict=True):
        robot[row], scene[row] = part.robot_obs, part.scene_state
    return SimFrames(
        _gather(n, [p.image_static for p in parts], rows, None if last is None else last.image_static),
        _gather(n, [p.image_gripper for p in parts], rows, None if last is None else last.image_gripper),
        robot,
        scene,
        _gather(n, [p.solved for p in parts], rows, None if last is None else last.solved),
    )


def _gather(
    n: int,
    parts: Sequence[NDArray[Scalar] | None],
    rows: Sequence[NDArray[np.int64]],
    last: NDArray[Scalar] | None,
) -> NDArray[Scalar] | None:
    known = next((values for values in (last, *parts) if values is not None), None)
    if known is None:
        return None
    gathered, kept = np.zeros((n, *known.shape[1:]), known.dtype), np.ones(n, np.bool_)
    for part, row in zip(parts, rows, strict=True):
        kept[row] = False
        if part is not None:
            gathered[row] = part
    if last is not None:
        gathered[kept] = last[kept]
    return gathered


def copy_frames(frames: SimFrames) -> SimFrames:
    """The same frames in arrays of their own."""
    return SimFrames(
        None if frames.image_static is None else frames.image_static.copy(),
        None if frames.image_gripper is None else frames.image_gripper.copy(),
        frames.robot_obs.copy(),
        frames.scene_state.copy(),
        None if frames.solved is None else frames.solved.copy(),
    )
