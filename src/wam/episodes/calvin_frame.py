"""One frame of a CALVIN data set: its file name, its keys, and the checks that every frame must pass."""

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM, ROBOT_OBS_DIM, SCENE_STATE_DIM, InputError
from wam.episodes.npz_file import read_npz

FRAME_DIGITS: Final = 7

ACTIONS: Final = "actions"
REL_ACTIONS: Final = "rel_actions"
ROBOT_OBS: Final = "robot_obs"
SCENE_OBS: Final = "scene_obs"
RGB_STATIC: Final = "rgb_static"
RGB_GRIPPER: Final = "rgb_gripper"

POSITION_SCALE_M: Final = 0.02
"""Metres of TCP motion per unit of a relative action."""
ROTATION_SCALE_RAD: Final = 0.05
"""Radians per unit of a relative action, componentwise on Euler angles."""

READ_ERRORS: Final = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What NumPy and zipfile raise on a file that is not what its name says (a damaged shape asks for memory)."""


class CalvinFormatError(InputError):
    """A CALVIN folder that cannot be used; the message names the file or key, the value and the remedy."""


@dataclass(frozen=True)
class Frame:
    """One recorded frame.

    Attributes:
        image_static: ``(h, w, 3)`` uint8 RGB of the static camera; may be read-only, as the other.
        image_gripper: ``(h, w, 3)`` uint8 RGB of the wrist camera.
        robot_obs: ``(15,)`` float64.
        scene_obs: ``(24,)`` float64.
        action: ``(7,)`` float64, CALVIN's ``rel_actions``: the relative action taken at this frame.
        absolute_action: ``(7,)`` float64, CALVIN's ``actions``: measured TCP pose of the next frame.
    """

    image_static: NDArray[np.uint8]
    image_gripper: NDArray[np.uint8]
    robot_obs: NDArray[np.float64]
    scene_obs: NDArray[np.float64]
    action: NDArray[np.float64]
    absolute_action: NDArray[np.float64]


def frame_file_name(frame_id: int) -> str:
    """File name of a frame: seven digits, one frame per file although called episode."""
    return f"episode_{frame_id:0{FRAME_DIGITS}d}.npz"


def read_frame(file: Path) -> Frame:
    """Read and check one frame file.

    Raises:
        CalvinFormatError: If the file is missing, truncated, lacks a key, or a value has a wrong shape, a
            wrong type or is not finite.
    """
    try:
        values = read_npz(file, (*_VECTORS, *_IMAGES))
    except FileNotFoundError as error:
        raise CalvinFormatError(
            f"{file}: frame file is missing; copy it again or ingest with quarantine: true"
        ) from error
    except READ_ERRORS as error:
        raise CalvinFormatError(
            f"{file}: cannot be read ({type(error).__name__}: {error}); it is truncated or no CALVIN frame: "
            "copy it again or ingest with quarantine: true"
        ) from error
    for key, width in _VECTORS.items():
        values[key] = _checked_vector(file, key, values[key], width)
    for key in _IMAGES:
        _check_image(file, key, values[key])
    return Frame(
        image_static=values[RGB_STATIC],
        image_gripper=values[RGB_GRIPPER],
        robot_obs=values[ROBOT_OBS],
        scene_obs=values[SCENE_OBS],
        action=values[REL_ACTIONS],
        absolute_action=values[ACTIONS],
    )


_VECTORS: Final = {
    ACTIONS: ACTION_DIM,
    REL_ACTIONS: ACTION_DIM,
    ROBOT_OBS: ROBOT_OBS_DIM,
    SCENE_OBS: SCENE_STATE_DIM,
}
_IMAGES: Final = (RGB_STATIC, RGB_GRIPPER)


def _checked_vector(file: Path, key: str, value: NDArray[Any], width: int) -> NDArray[np.float64]:
    if value.shape != (width,) or value.dtype.kind != "f":
        raise CalvinFormatError(
            f"{file}: {key} has shape {value.shape} and dtype {value.dtype}, expected ({width},) of floats; "
            "the frame is not CALVIN's: replace it or ingest with quarantine: true"
        )
    if not np.isfinite(value).all():
        index = int(np.flatnonzero(~np.isfinite(value))[0])
        raise CalvinFormatError(
            f"{file}: {key}[{index}] is {value[index]}; replace the frame or ingest with quarantine: true"
        )
    return value.astype(np.float64)


def _check_image(file: Path, key: str, value: NDArray[Any]) -> None:
    if value.ndim != 3 or value.shape[2] != 3 or min(value.shape) < 1 or value.dtype != np.uint8:
        raise CalvinFormatError(
            f"{file}: {key} has shape {value.shape} and dtype {value.dtype}, expected (h, w, 3) uint8; "
            "the frame is not CALVIN's: replace it or ingest with quarantine: true"
        )
