"""Distances that need networks: LPIPS of frames, and the Frechet video distance over sequences.

Each is measured where the user named its weight files, and nowhere else; nothing stands in for it.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import model_validator
from torch import Tensor

from wam.contracts import config
from wam.evaluation.i3d import I3D
from wam.evaluation.lpips import Lpips
from wam.evaluation.weight_files import WeightFile, fill, load_weights

VIDEOS_AT_ONCE = 4


@config
class PerceptualConfig:
    """Weight files of the networks; docs/metrics.md says where to get them.

    Attributes:
        lpips_network: torchvision's AlexNet; absent, LPIPS is not available.
        lpips_heads: Linear layers of LPIPS 0.1 for AlexNet; named with the network or not at all.
        fvd_network: I3D on RGB for Kinetics-400; absent, FVD is not available.
    """

    lpips_network: WeightFile | None = None
    lpips_heads: WeightFile | None = None
    fvd_network: WeightFile | None = None

    @model_validator(mode="after")
    def _lpips_takes_both_files(self) -> "PerceptualConfig":
        if (self.lpips_network is None) != (self.lpips_heads is None):
            missing = "lpips_network" if self.lpips_network is None else "lpips_heads"
            raise ValueError(f"LPIPS takes two weight files: name {missing} as well, or neither of them")
        return self


class PerceptualScores:
    """Collects sequences of one world model, camera by camera.

    Args:
        page: Which networks there are.
        device: Where to compute.

    Raises:
        WeightFileError: If a file is not what it should be.
    """

    def __init__(self, page: PerceptualConfig, device: torch.device | str) -> None:
        self._device = device
        self._lpips = None
        if page.lpips_network is not None and page.lpips_heads is not None:
            self._lpips = Lpips(page.lpips_network, page.lpips_heads, device)
        self._i3d = None
        if page.fvd_network is not None:
            self._i3d = I3D()
            fill(self._i3d, load_weights(page.fvd_network), page.fvd_network)
            self._i3d.to(device)
        self._distances: list[NDArray[np.float64]] = []
        self._logits: dict[tuple[str, str], list[NDArray[np.float64]]] = {}

    @torch.no_grad()
    def add(self, predicted: Mapping[str, Tensor], recorded: Mapping[str, Tensor]) -> None:
        """Take in sequences ``(n, T, 3, 64, 64)`` in [-1, 1] by camera."""
        if self._lpips is not None:
            cameras = [
                self._lpips(predicted[name].flatten(end_dim=1), recorded[name].flatten(end_dim=1))
                .view(predicted[name].shape[:2])
                .mean(dim=1)
                for name in predicted
            ]
            self._distances.append(torch.stack(cameras).mean(dim=0).double().cpu().numpy())
        if self._i3d is not None:
            for kind, videos in (("predicted", predicted), ("recorded", recorded)):
                for name, video in videos.items():
                    rows = torch.split(video.clamp(-1, 1).transpose(1, 2), VIDEOS_AT_ONCE)
                    logits = torch.cat([self._i3d(part) for part in rows]).double().cpu().numpy()
                    self._logits.setdefault((kind, name), []).append(logits)

    def summary(self) -> dict[str, float]:
        """``lpips_mean`` and ``lpips_std`` over sequences, ``fvd`` (mean of the cameras); what there is."""
        found: dict[str, float] = {}
        if self._distances:
            values = np.concatenate(self._distances)
            found |= {"lpips_mean": float(values.mean()), "lpips_std": float(values.std())}
        cameras = [name for kind, name in self._logits if kind == "predicted"]
        if cameras:
            pairs = [
                [np.concatenate(self._logits[kind, name]) for kind in ("predicted", "recorded")]
                for name in cameras
            ]
            found["fvd"] = float(np.mean([frechet_distance(*pair) for pair in pairs]))
        return found


def frechet_distance(one: Float[np.ndarray, "N F"], other: Float[np.ndarray, "M F"]) -> float:
    """Frechet distance of the Gaussians with the mean and covariance of two sets of features.

    ``|m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2))``, with the trace of the root from the eigenvalues of
    ``S1^(1/2) S2 S1^(1/2)``, which are real and not negative.
    """
    means = [values.mean(axis=0) for values in (one, other)]
    first, second = (np.atleast_2d(np.cov(values, rowvar=False)) for values in (one, other))
    eigenvalues, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    distance = ((means[0] - means[1]) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * cross
    return max(0.0, float(distance))
