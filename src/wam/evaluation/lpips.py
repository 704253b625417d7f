"""LPIPS with AlexNet (Zhang et al. 2018, version 0.1), from the user's two weight files."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wam.evaluation.weight_files import WeightFile, fill, load_weights

SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation, for pixels in [-1, 1]."""
CHANNELS = (64, 192, 384, 256, 256)
"""Of the five layers that are compared, after their ReLU."""
LAYER_ENDS = (2, 5, 8, 10, 12)
"""Where each of them ends among AlexNet's ``features``."""
IMAGES_AT_ONCE = 256


class AlexNetFeatures(nn.Module):
    """The convolutions of AlexNet, named as torchvision names them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        )

    def forward(self, image: Float[Tensor, "N 3 h w"]) -> list[Tensor]:
        """The five layers, ``(N, c, h, w)`` each, from pixels in [-1, 1]."""
        shift, scale = (image.new_tensor(x)[:, None, None] for x in (SHIFT, SCALE))
        x, layers, start = (image - shift) / scale, [], 0
        for end in LAYER_ENDS:
            x = self.features[start:end](x)
            layers.append(x)
            start = end
        return layers


class Lpips:
    """Perceptual distance of images; 0 for equal ones, lower is better.

    Args:
        network: torchvision's AlexNet for ImageNet.
        heads: The linear layers of LPIPS 0.1 for AlexNet.
        device: Where to compute.

    Raises:
        WeightFileError: If a file is not what it should be.
    """

    def __init__(self, network: WeightFile, heads: WeightFile, device: torch.device | str = "cpu") -> None:
        self._network = AlexNetFeatures()
        fill(self._network, load_weights(network), network)
        self._network.to(device)
        holder = nn.ModuleDict(
            {f"lin{i}": nn.ModuleDict({"model": _Second(width)}) for i, width in enumerate(CHANNELS)}
        )
        fill(holder, load_weights(heads), heads)
        self._heads = [value.to(device) for _, value in sorted(holder.state_dict().items())]

    @torch.no_grad()
    def __call__(
        self, predicted: Float[Tensor, "N 3 h w"], target: Float[Tensor, "N 3 h w"]
    ) -> Float[Tensor, " N"]:
        """Distance of each pair of images in [-1, 1]; values outside are clipped."""
        pairs = zip(*(torch.split(x, IMAGES_AT_ONCE) for x in (predicted, target)), strict=True)
        return torch.cat([self._distance(x.clamp(-1, 1), y.clamp(-1, 1)) for x, y in pairs])

    def _distance(self, x: Tensor, y: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        layers = zip(self._network(x), self._network(y), self._heads, strict=True)
        for one, other, head in layers:
            difference = (_unit(one) - _unit(other)) ** 2
            total = total + nn.functional.conv2d(difference, head).mean(dim=(1, 2, 3))
        return total


class _Second(nn.Module):
    """A linear layer under the name ``1``, where the file has it (behind a dropout)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.add_module("1", nn.Conv2d(width, 1, 1, bias=False))


def _unit(layer: Tensor) -> Tensor:
    return layer / (layer.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
