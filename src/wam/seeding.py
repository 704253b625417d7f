"""Independent random streams from one seed and a name: no global generator, no order dependence."""

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _words(seed: int, key: tuple[str | int, ...]) -> list[int]:
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    return [seed, *(zlib.crc32(str(part).encode()) for part in key)]


def numpy_generator(seed: int, *key: str | int) -> np.random.Generator:
    """A NumPy generator that depends on ``seed`` and every part of ``key``, and on nothing else."""
    return np.random.default_rng(_words(seed, key))


def torch_generator(seed: int, *key: str | int, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A torch generator that depends on ``seed`` and every part of ``key``, and on nothing else."""
    import torch  # noqa: PLC0415 - simulator workers do without torch, which would cost each 200 MB

    state = np.random.SeedSequence(_words(seed, key)).generate_state(1, np.uint64)[0]
    return torch.Generator(device=device).manual_seed(int(state) & 0x7FFF_FFFF_FFFF_FFFF)
