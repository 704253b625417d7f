"""Which device to train on."""

from typing import Literal

import torch

Device = Literal["auto", "cpu", "cuda"]


def resolve_device(name: Device) -> torch.device:
    """The device of a setting.

    Args:
        name: ``auto`` takes the GPU if there is one.

    Raises:
        ValueError: If ``cuda`` is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda' but torch sees no GPU; set device: auto or cpu")
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {name!r}")
    return torch.device(name)
