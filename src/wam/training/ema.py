"""Running mean of weights."""

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a module's parameters.

    Args:
        module: Whose parameters are averaged; starts at their present values.
        decay: Share of the old mean that is kept per step, in (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ValueError(f"ema_decay must lie between 0 and 1, got {decay}")
        self._module = module
        self._present = [value.detach() for value in module.parameters()]
        self._decay = decay
        self._mean = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, *, copy: bool = False) -> None:
        """Take in the present parameters; ``copy`` forgets the mean and starts from them."""
        torch._foreach_lerp_(list(self._mean.values()), self._present, 1.0 if copy else 1.0 - self._decay)

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
