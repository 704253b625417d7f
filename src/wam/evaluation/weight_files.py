"""Weights that the user brings: checked by digest, loaded without running code."""

import hashlib
from pathlib import Path

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from wam.contracts import config

_BLOCK_BYTES = 1 << 20


@config
class WeightFile:
    """A file with a network's weights.

    Attributes:
        path: Where it lies; ``.safetensors``, or a state dict saved by torch.
        sha256: Its digest, or the first eight or more of its 64 hexadecimal digits.
    """

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{8,64}$")


class WeightFileError(ValueError):
    """A weight file that cannot be used."""


def load_weights(file: WeightFile) -> dict[str, Tensor]:
    """Tensors by name, once the digest is right.

    Raises:
        WeightFileError: If the file is missing, is another one, or holds no dict of tensors.
        pickle.UnpicklingError: If it would run code when loaded.
    """
    path = Path(file.path)
    if not path.is_file():
        raise WeightFileError(f"{path} does not exist; docs/metrics.md says where to get it")
    found = sha256_of(path)
    if not found.startswith(file.sha256):
        raise WeightFileError(
            f"{path} has the SHA-256 {found}, expected {file.sha256}: it is another file, or a damaged one"
        )
    if path.suffix == ".safetensors":
        return load_file(path)
    weights = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise WeightFileError(f"{path} holds {type(weights).__name__}, not a dict of tensors by name")
    return weights


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def fill(module: nn.Module, weights: dict[str, Tensor], file: WeightFile) -> None:
    """Put the weights that a module has names for into it; others are left out.

    Raises:
        WeightFileError: If one is missing or has another shape.
    """
    own = module.state_dict()
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in weights or weights[name].shape != value.shape:
            given = tuple(weights[name].shape) if name in weights else "nothing"
            raise WeightFileError(f"{file.path}: {name} is {given}, expected shape {tuple(value.shape)}")
    module.load_state_dict({name: weights.get(name, value) for name, value in own.items()})
    module.eval().requires_grad_(False)
