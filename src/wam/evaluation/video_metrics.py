"""Image similarity that needs no network, and what to say where one is missing."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

NOT_AVAILABLE: Mapping[str, str] = {
    "lpips": "not available: name its weight files in open_loop.perceptual (docs/metrics.md)",
    "fvd": "not available: name its weight file in open_loop.perceptual (docs/metrics.md)",
}
"""What stands where a metric's network is missing; nothing else is ever reported under its name."""


def psnr(predicted: Float[Tensor, "N 3 h w"], target: Float[Tensor, "N 3 h w"]) -> Float[Tensor, " N"]:
    """Peak signal-to-noise ratio of each image, in dB; higher is better.

    Args:
        predicted: In [-1, 1]; values outside are clipped.
        target: In [-1, 1].
    """
    # imported here: TorchMetrics takes a third of the time in which every `kedro` command starts
    from torchmetrics.functional.image import peak_signal_noise_ratio  # noqa: PLC0415

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
    from torchmetrics.functional.image import structural_similarity_index_measure  # noqa: PLC0415 - as above

    values = structural_similarity_index_measure(
        _to_unit(predicted), _to_unit(target), data_range=1.0, reduction="none"
    )
    assert isinstance(values, Tensor)
    return values.reshape(-1)


def _to_unit(image: Tensor) -> Tensor:
    return image.detach().to(torch.float32).add(1.0).div(2.0).clamp(0.0, 1.0)
