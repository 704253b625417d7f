"""The cosine noise schedule of a denoising diffusion process, as pure functions and as buffers."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def cosine_alpha_bar(steps: int, offset: float = 0.008) -> Float[Tensor, " K1"]:
    """Share of signal that is left after 0..K noising steps, float64, first entry 1.

    Args:
        steps: K, number of denoising steps.
        offset: s of the schedule; keeps the first steps from being too small.

    Source:
        Nichol and Dhariwal 2021, equation 17, on K + 1 points from 0 to K + 1.
    """
    grid = torch.linspace(0, steps + 1, steps + 1, dtype=torch.float64) / (steps + 1)
    curve = torch.cos((grid + offset) / (1 + offset) * math.pi / 2) ** 2
    return curve / curve[0]


def cosine_betas(steps: int, offset: float = 0.008) -> Float[Tensor, " K"]:
    """Variance added by each noising step, float64, at most 0.999."""
    alpha_bar = cosine_alpha_bar(steps, offset)
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(0, 0.999)


class NoiseSchedule(nn.Module):
    """Coefficients of noising and of the denoising posterior for every step k = 0 .. K - 1.

    Step k turns ``a^{k+1}`` (k = K - 1: pure noise) into ``a^k``; k = 0 is the last one that runs. The
    buffers follow from ``steps`` alone and are not stored in checkpoints.

    Args:
        steps: K, number of denoising steps.

    Source:
        Ho et al. 2020, equations 4, 6 and 7; docs/published.md, cloning.
    """

    signal: Tensor
    noise: Tensor
    clean_coef: Tensor
    noisy_coef: Tensor
    posterior_std: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        beta = cosine_betas(steps)
        alpha_bar = torch.cumprod(1 - beta, 0)
        previous = torch.cat((torch.ones(1, dtype=torch.float64), alpha_bar[:-1]))
        variance = beta * (1 - previous) / (1 - alpha_bar)
        values = {
            "signal": alpha_bar.sqrt(),
            "noise": (1 - alpha_bar).sqrt(),
            "clean_coef": beta * previous.sqrt() / (1 - alpha_bar),
            "noisy_coef": (1 - previous) * (1 - beta).sqrt() / (1 - alpha_bar),
            "posterior_std": variance.sqrt(),
        }
        for name, value in values.items():
            self.register_buffer(name, value.float(), persistent=False)

    def add_noise(
        self, clean: Float[Tensor, "B Hs A"], unit_noise: Float[Tensor, "B Hs A"], k: Int[Tensor, " B"]
    ) -> Float[Tensor, "B Hs A"]:
        """Forward process: ``sqrt(alpha_bar_k) clean + sqrt(1 - alpha_bar_k) unit_noise``."""
        return _wide(self.signal[k]) * clean + _wide(self.noise[k]) * unit_noise

    def clean_estimate(
        self, noisy: Float[Tensor, "*B Hs A"], unit_noise: Float[Tensor, "*B Hs A"], k: Int[Tensor, "*#B"]
    ) -> Float[Tensor, "*B Hs A"]:
        """Chunk that the noisy one came from if ``unit_noise`` was added, clipped to [-1, 1]."""
        return ((noisy - _wide(self.noise[k]) * unit_noise) / _wide(self.signal[k])).clamp(-1, 1)

    def posterior_mean(
        self, clean: Float[Tensor, "*B Hs A"], noisy: Float[Tensor, "*B Hs A"], k: Int[Tensor, "*#B"]
    ) -> Float[Tensor, "*B Hs A"]:
        """Mean of the chunk one step less noisy, given the clean and the noisy one."""
        return _wide(self.clean_coef[k]) * clean + _wide(self.noisy_coef[k]) * noisy

    def floored_std(self, floor: float, final: float | None = None) -> Float[Tensor, " K"]:
        """Posterior deviation of every step, at least ``floor``; at k = 0 at least ``final`` where given.

        A ``final`` of 0 gives exactly 0 there: the schedule's own deviation at k = 0 is 0.
        """
        std = self.posterior_std.clamp_min(floor)
        if final is not None:
            std[0] = self.posterior_std[0].clamp_min(final)
        return std


def _wide(x: Tensor) -> Tensor:
    return x[..., None, None]
