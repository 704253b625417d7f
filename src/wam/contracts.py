"""The words every layer may use: batch keys, fixed widths, the loss contract, typed configuration.

Axis letters, the same in every shape of the project: ``B`` batch, ``T`` recorded time, ``H`` imagined
time, ``K`` denoising steps, ``A`` action, ``E`` embed, ``D`` deter, ``S`` stoch (flat), ``F`` feat (D + S and
what is carried besides), ``c h w`` image channels, height, width. Batch first, ``(B, T, ...)``.

Time, drawn once::

    frame      0          1          2
               |--a[0]--> |--a[1]--> |
    action[t]      = the action taken at frame t (leads to frame t + 1)
    prev_action[t] = action[t - 1], the action that led to frame t (zeros with an open gripper at a start)
    is_first[t]    = frame t starts an episode
"""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

if TYPE_CHECKING:  # simulator workers read this module, and torch would cost each of them 200 MB and seconds
    import torch

IMAGE_STATIC: Final = "image_static"
IMAGE_GRIPPER: Final = "image_gripper"
PROPRIO: Final = "proprio"
ACTION: Final = "action"
PREV_ACTION: Final = "prev_action"
IS_FIRST: Final = "is_first"
EMBED: Final = "embed"
"""What the encoder made of a frame; in a batch only where it is known already."""
ROBOT_OBS: Final = "robot_obs"
SCENE_STATE: Final = "scene_state"

IMAGE_SIZE: Final = 64
"""Height and width in pixels of what the world model sees; fixed by the published convolutions."""
ACTION_DIM: Final = 7
"""Relative TCP action: xyz and Euler angles in [-1, 1] (x 0.02 m, x 0.05 rad), gripper -1 close, +1 open."""
ROBOT_OBS_DIM: Final = 15
SCENE_STATE_DIM: Final = 24
PROPRIO_DIM: Final = 18
"""TCP xyz (m), 6-d rotation, gripper width (m), seven joints (rad), gripper action (-1 or +1)."""
CONTROL_HZ: Final = 30
"""Actions, and recorded frames, per second."""

OPEN_GRIPPER_ACTION: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
"""``prev_action`` of the first frame of an episode: no motion, gripper open."""

Batch = Mapping[str, "torch.Tensor"]
"""Tensors by batch key, read only: no loss or forward changes the batch it is given."""


class InputError(ValueError):
    """What was given cannot be used. The message names the thing, the value and the remedy, and is enough."""


def suggestion(name: str, known: Collection[str]) -> str:
    """What to say after a name that does not exist: which was perhaps meant, else which ones there are."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f" (did you mean {close[0]}?)"
    return f" (known: {', '.join(known)})" if known else ""


class LossOutput(NamedTuple):
    """What every trainable returns.

    Attributes:
        loss: Scalar to minimise, with gradient.
        metrics: Detached scalars by name, for curves.
    """

    loss: "torch.Tensor"
    metrics: dict[str, "torch.Tensor"]


_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def config(cls: type[_T]) -> type[_T]:
    """Make a class a page of configuration: typed, frozen, keyword only, unknown keys refused.

    Raises:
        pydantic.ValidationError: On construction, naming every unknown key and every wrong value.
    """
    return pydantic_dataclass(  # type: ignore[return-value]
        frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False)
    )(cls)


def config_to_dict(page: object) -> dict[str, Any]:
    """Plain JSON-ready values of a configuration page, nested pages included."""
    values: dict[str, Any] = TypeAdapter(type(page)).dump_python(page, mode="json")
    return values


def config_with(page: _T, values: Mapping[str, Any]) -> _T:
    """A page with some settings replaced, nested as they are on it; the others stay.

    Raises:
        pydantic.ValidationError: Naming every unknown key and every wrong value.
    """
    return config_from_dict(type(page), merged(config_to_dict(page), values))


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Nested plain values, those of ``new`` before those of ``old``."""
    both = dict(old)
    for key, value in new.items():
        deeper = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = merged(both[key], value) if deeper else value
    return both


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and leaves of nested plain values; lists stay whole."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def config_from_dict(cls: type[_T], values: Mapping[str, Any]) -> _T:
    """Build and validate a configuration page from plain values.

    Raises:
        pydantic.ValidationError: Naming every unknown key and every wrong value.
    """
    return TypeAdapter(cls).validate_python(dict(values))
