"""The loop's own checkpoint: everything that makes resumed equal to uninterrupted, in one file."""

import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from wam.training.checkpoint import own_copies

logger = logging.getLogger(__name__)

FILE_NAME = "training_state.safetensors"
History = list[dict[str, float]]


@dataclass
class TrainingState:
    """A training run between two steps.

    Attributes:
        key: Digest of what is trained on what with which settings.
        step: Steps finished.
        history: Points of the curves so far.
        tensors: By part (``model``, ``optimizer``, ``ema``, ``objective``) and name.
    """

    key: str
    step: int
    history: History
    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def save_state(work_dir: Path, state: TrainingState) -> None:
    """Replace the checkpoint in ``work_dir``, in one move."""
    work_dir.mkdir(parents=True, exist_ok=True)
    flat = own_copies(
        {f"{part}/{name}": x for part, tensors in state.tensors.items() for name, x in tensors.items()}
    )
    header = {"key": state.key, "step": str(state.step), "history": json.dumps(state.history)}
    scratch = work_dir / f"{FILE_NAME}.{os.getpid()}.part"
    save_file(flat, scratch, metadata=header)
    os.replace(scratch, work_dir / FILE_NAME)


def load_state(work_dir: Path, key: str) -> TrainingState | None:
    """The checkpoint in ``work_dir``; None if there is none, or if it is of another key, which is said."""
    path = work_dir / FILE_NAME
    if not path.is_file():
        return None
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        if header["key"] != key:
            logger.warning(
                "%s: what is there, %s steps, is of other settings, data or precision, so it begins anew",
                *(path, header["step"]),
            )
            return None
        tensors: dict[str, dict[str, Tensor]] = {}
        for full_name in file.keys():  # noqa: SIM118 - a file handle, not a dict
            part, name = full_name.split("/", 1)
            tensors.setdefault(part, {})[name] = file.get_tensor(full_name)
    return TrainingState(key, int(header["step"]), json.loads(header["history"]), tensors)


def has_state(work_dir: Path, key: str) -> bool:
    """Whether :func:`load_state` would find a checkpoint; of which the header alone is read."""
    path = work_dir / FILE_NAME
    if not path.is_file():
        return False
    with safe_open(path, framework="pt") as file:
        return bool(file.metadata()["key"] == key)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's running statistics by ``index.name``."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo ``optimizer_tensors``."""
    page = optimizer.state_dict()
    page["state"] = {}
    for full_name, value in tensors.items():
        index, name = full_name.split(".", 1)
        page["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(page)
