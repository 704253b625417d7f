"""Multi-layer perceptrons."""

from collections.abc import Sequence
from typing import Final, Literal

from jaxtyping import Float
from torch import Tensor, nn

Activation = Literal["elu", "relu"]
_ACTIVATIONS: Final = {"elu": nn.ELU, "relu": nn.ReLU}


class MLP(nn.Sequential):
    """Linear layers with a nonlinearity between them and a linear output.

    Args:
        inputs: Width of the input.
        hidden: Widths of the hidden layers, may be empty.
        outputs: Width of the output.
        activation: The nonlinearity; ELU is what all published parts have.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, activation: Activation = "elu"
    ) -> None:
        layers: list[nn.Module] = []
        width = inputs
        for next_width in hidden:
            layers.append(nn.Linear(width, next_width))
            layers.append(_ACTIVATIONS[activation](inplace=True))
            width = next_width
        layers.append(nn.Linear(width, outputs))
        super().__init__(*layers)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Apply the layers to the last axis."""
        for layer in self:
            x = layer(x)
        return x
