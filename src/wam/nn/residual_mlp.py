"""A residual multilayer perceptron: the trunk of the denoiser and of the critic."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wam.nn.mish import Mish


class SplitLinear(nn.Module):
    """One linear layer on ``[changing ; static]`` whose weight is kept in two parts.

    Two parameters and not one that is sliced: the gradient of a slice is a zero-filled copy of the whole.

    Args:
        changing_dim: Width of the changing part; 0 leaves it out.
        static_dim: Width of the static part.
        output_dim: Width of the output.
    """

    changing: nn.Parameter | None

    def __init__(self, changing_dim: int, static_dim: int, output_dim: int) -> None:
        super().__init__()
        self.in_features = changing_dim + static_dim
        bound = 1 / math.sqrt(self.in_features)
        self.static = nn.Parameter(torch.empty(output_dim, static_dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(output_dim).uniform_(-bound, bound))
        self.changing = None
        if changing_dim:
            self.changing = nn.Parameter(torch.empty(output_dim, changing_dim).uniform_(-bound, bound))


class ResidualBlock(nn.Module):
    """Pre-activation block of two layers, ``x + W2 mish(W1 mish(x))``, without norm or dropout.

    Args:
        width: Number of features in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.activation = Mish()

    def forward(self, x: Float[Tensor, "*B width"]) -> Float[Tensor, "*B width"]:
        """Add the two-layer branch to ``x``; same shape out."""
        y: Tensor = self.first(self.activation(x))
        y = self.second(self.activation(y))
        return x + y


class ResidualMLP(nn.Module):
    """Linear, residual blocks, linear, whose input is a static part and a changing part.

    The input is ``[changing ; static]``. The first layer is linear, so its share from the static part can be
    computed once with :meth:`project_static` and reused for many changing parts. This is exact, and it saves
    most of the work of a denoiser, whose wide condition is the same at every denoising step.

    Args:
        changing_dim: Width of the changing part; 0 for an ordinary network of one input.
        static_dim: Width of the static part.
        hidden: Width of the trunk.
        output_dim: Width of the output.
        blocks: Number of residual blocks.

    Source:
        docs/published.md, cloning: dims [512, 512, 512] are one linear layer and one block; critic: 256.
    """

    def __init__(
        self, *, changing_dim: int, static_dim: int, hidden: int, output_dim: int, blocks: int = 1
    ) -> None:
        super().__init__()
        self.changing_dim = changing_dim
        self.input = SplitLinear(changing_dim, static_dim, hidden)
        self.blocks = nn.Sequential(*(ResidualBlock(hidden) for _ in range(blocks)))
        self.output = nn.Linear(hidden, output_dim)

    def project_static(self, static: Float[Tensor, "*B static"]) -> Float[Tensor, "*B hidden"]:
        """Share of the first layer, bias included, that comes from the static part."""
        return nn.functional.linear(static, self.input.static, self.input.bias)

    def after_input(self, x: Float[Tensor, "*B hidden"]) -> Float[Tensor, "*B out"]:
        """Everything behind the first layer."""
        y: Tensor = self.output(self.blocks(x))
        return y

    def forward(self, static: Float[Tensor, "*B static"]) -> Float[Tensor, "*B out"]:
        """Output of a network without a changing part.

        Raises:
            ValueError: If the network has a changing part.
        """
        if self.changing_dim:
            raise ValueError(
                f"the network has a changing part of width {self.changing_dim}: add its share to "
                "project_static's and call after_input"
            )
        return self.after_input(self.project_static(static))
