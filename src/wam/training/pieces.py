"""Weights on their way from one machine to another: rounded to 16 bits, in pieces of limited size.

What leaves a lent machine must often be small. Large matrices are rounded to bfloat16; what is small, or is
no floating number, stays as it is. The pieces are one safetensors file, cut; their digest says whether all
came through.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load, save
from torch import Tensor

from wam.contracts import InputError
from wam.training.checkpoint import own_copies

ROUNDED_FROM: Final = 1 << 14
"""Numbers from which a tensor is rounded: measured ranges, places and small fits keep all of their digits."""


def rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with large float32 tensors as bfloat16, on the CPU."""
    return {
        name: value.to(torch.bfloat16)
        if value.dtype == torch.float32 and value.numel() >= ROUNDED_FROM
        else value
        for name, value in own_copies(weights).items()
    }


def widened(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with bfloat16 tensors as float32 of the same values."""
    return {
        name: value.to(torch.float32) if value.dtype == torch.bfloat16 else value
        for name, value in weights.items()
    }


def write_pieces(folder: Path, name: str, weights: Mapping[str, Tensor], most_bytes: int) -> dict[str, Any]:
    """Write weights as files ``{name}.1-of-3`` and so on.

    Args:
        folder: Of the files; there already.
        name: Before the number.
        weights: On the CPU.
        most_bytes: Of one file.

    Returns:
        What :func:`read_pieces` wants to know: the files' names and the digest of all.

    Raises:
        ValueError: If a file may hold nothing.
    """
    if most_bytes < 1:
        raise ValueError(f"a piece holds at least a byte, got {most_bytes}")
    data = save(dict(weights))
    count = -(-len(data) // most_bytes)
    names = [f"{name}.{number}-of-{count}" for number in range(1, count + 1)]
    for index, piece in enumerate(names):
        (folder / piece).write_bytes(data[index * most_bytes : (index + 1) * most_bytes])
    return {"pieces": names, "sha256": hashlib.sha256(data).hexdigest()}


def read_pieces(folder: Path, pieces: Sequence[str], sha256: str) -> dict[str, Tensor]:
    """Put pieces together again.

    Raises:
        InputError: If one is absent, or they are not what was written.
    """
    absent = [piece for piece in pieces if not (folder / piece).is_file()]
    if absent or not pieces:
        raise InputError(f"{folder} lacks {', '.join(absent) or 'pieces'}; bring all {len(pieces)} pieces")
    data = b"".join((folder / piece).read_bytes() for piece in pieces)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            f"{folder}: {pieces[0]} and what follows it are not what was written (SHA-256 differs); "
            "bring them again"
        )
    return dict(load(data))
