"""Image and video similarity: what can be computed, and how to get what cannot."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

NOT_AVAILABLE: Mapping[str, str] = {
    "lpips": "not available: needs weights of AlexNet or VGG, which cannot be shipped; see docs/metrics.md",
    "fvd": "not available: needs weights of the I3D network, which cannot be shipped; see docs/metrics.md",
}
"""Metrics that need network weights; nothing else is ever reported under their names."""


def psnr(predicted: Float[Tensor, "N 3 h w"], target: Float[Tensor, "N 3 h w"]) -> Float[Tensor, " N"]:
    """Peak signal-to-noise ratio of each image, in dB; higher is better.

    Args:
        predicted: In [-1, 1]; values outside are clipped.
        target: In [-1, 1].
    """
    ratio: Tensor = peak_signal_noise_ratio(
        _to_unit(predicted), _to_unit(target), data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    return ratio


def ssim(predicted: Float[Tensor, "N 3 h w"], target: Float[Tensor, "N 3 h w"]) -> Float[Tensor, " N"]:
    """Structural similarity of each image (11x11 Gaussian window, sigma 1.5); 1 is identical.

    Args:
        predicted: In [-1, 1]; values outside are clipped.
        target: In [-1, 1].
    """
    values = structural_similarity_index_measure(
        _to_unit(predicted), _to_unit(target), data_range=1.0, reduction="none"
    )
    assert isinstance(values, Tensor)
    return values.reshape(-1)


def _to_unit(image: Tensor) -> Tensor:
    return image.detach().to(torch.float32).add(1.0).div(2.0).clamp(0.0, 1.0)
