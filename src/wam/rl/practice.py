"""Where a policy is refined, as fine-tuning knows it: neither a world model nor a simulator by name."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from wam.rl.config import PPOConfig
from wam.rl.decision_env import DecisionEnv


@dataclass(frozen=True)
class Identity:
    """What a practice is made of, for the digest that tells runs apart.

    Attributes:
        weights: Tensors by name.
        page: Plain settings by name.
    """

    weights: dict[str, Tensor]
    page: dict[str, Any]


class Practice(Protocol):
    """Makes the environments of each iteration, anew and of its number alone."""

    @property
    def name(self) -> str:
        """Word before ``_success`` in the history."""
        ...

    def environment(self, config: PPOConfig, act_steps: int, *, seed: int, iteration: int) -> DecisionEnv:
        """Environments of one iteration, which depend on seed and iteration alone."""
        ...

    def identity(self) -> Identity:
        """What shapes the environments, beside the page ``ppo``."""
        ...


def named_weights(name: str, module: nn.Module) -> dict[str, Tensor]:
    """State of a module, every tensor's name behind that of the module."""
    return {f"{name}/{key}": value for key, value in module.state_dict().items()}
