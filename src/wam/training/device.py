"""Which device to train on, and in which precision."""

from typing import Literal

import torch
from torch import Tensor

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""Of processors that are quicker in bf16 than in fp32: with AVX2 alone they are many times slower."""


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


def resolve_precision(name: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """The precision of a setting.

    Args:
        name: ``auto`` takes bf16 where the device has instructions for it, else fp32.
        device: That computes.
    """
    if name == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    return name


def has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) is True for name in BF16_INSTRUCTIONS)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, without waiting for what the device still does."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)
