"""Running mean of weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Averaging:
    """How a running mean of weights follows them.

    Attributes:
        decay: Share of the old mean that is kept at an update, in (0, 1).
        every: Steps between updates.
        start: Steps after which averaging begins; until then the mean is a copy of the weights.

    Raises:
        ValueError: If ``decay`` is out of bounds.
    """

    decay: float
    every: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.decay < 1.0:
            raise ValueError(f"ema_decay must lie between 0 and 1, got {self.decay}")


class WeightAverage:
    """Exponential moving average of a module's parameters.

    Args:
        module: Whose parameters are averaged; starts at their present values.
        averaging: How.
    """

    def __init__(self, module: nn.Module, averaging: Averaging) -> None:
        self._module = module
        self._present = [value.detach() for value in module.parameters()]
        self._averaging = averaging
        self._mean = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the parameters after optimisation step ``step``, counted from 0, where it is time to."""
        how = self._averaging
        if (step + 1) % how.every == 0:
            weight = 1.0 if step < how.start else 1.0 - how.decay
            torch._foreach_lerp_(list(self._mean.values()), self._present, weight)

    def state_dict(self) -> dict[str, Tensor]:
        """Averaged parameters by name."""
        return dict(self._mean)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from saved averages."""
        for name, value in state.items():
            self._mean[name].copy_(value)

    def weights(self) -> dict[str, Tensor]:
        """A state dict for the module: averaged parameters, present buffers; copies."""
        present = {name: value.detach().clone() for name, value in self._module.state_dict().items()}
        return present | {name: value.clone() for name, value in self._mean.items()}
