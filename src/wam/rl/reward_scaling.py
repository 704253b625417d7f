"""Rewards divided by the running deviation of discounted returns."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_EPS = 1e-8


class RewardScaler:
    """Keeps the variance of discounted returns over everything seen, and scales rewards by it.

    The mean is not removed, so the sign of a reward stays.

    Args:
        gamma: Discount of the returns.
        clip: Scaled rewards are clipped to plus and minus this.

    Source:
        docs/published.md, PPO; Engstrom et al. 2020, appendix A.2. Variances are merged by Chan et al. 1979.
    """

    def __init__(self, gamma: float, clip: float) -> None:
        self.gamma = gamma
        self.clip = clip
        self.count = torch.tensor(1e-4, dtype=torch.float64)
        self.mean = torch.zeros((), dtype=torch.float64)
        self.variance = torch.ones((), dtype=torch.float64)

    def scale(self, reward: Float[Tensor, "B T"], ended: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """Take in an iteration's rewards, then scale them.

        Args:
            reward: Rewards of environments that all start anew at the first decision.
            ended: The episode ended with this decision; the next one starts a new return.
        """
        returns = torch.zeros_like(reward, dtype=torch.float64)
        running = torch.zeros_like(reward[:, 0], dtype=torch.float64)
        for t in range(reward.shape[1]):
            running = self.gamma * running + reward[:, t]
            returns[:, t] = running
            running = running * ~ended[:, t]
        self._merge(returns.cpu())
        deviation = float((self.variance + _EPS).sqrt())
        return (reward / deviation).clamp(-self.clip, self.clip)

    def _merge(self, values: Tensor) -> None:
        count = values.numel()
        total = self.count + count
        shift = values.mean() - self.mean
        spread = self.variance * self.count + values.var(correction=0) * count
        self.variance = (spread + shift**2 * self.count * count / total) / total
        self.mean = self.mean + shift * count / total
        self.count = total

    def state_dict(self) -> dict[str, Tensor]:
        """Count, mean and variance, for resuming."""
        return {"count": self.count, "mean": self.mean, "variance": self.variance}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self.count, self.mean, self.variance = (state[name].clone() for name in ("count", "mean", "variance"))
