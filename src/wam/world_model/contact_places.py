r"""Where a hand is when it moves a thing: found by least squares in recorded play, without a label.

Play hardly ever misses, so a network that is shown where hands and colours are learns that a downward stroke
switches the light, wherever the switch is: of recorded strokes 3 to 6 cm beside it, it believed nearly all
(docs/learning/imagination.md). What must count is where the hand is from the thing. Frames in which a joint
or light changes say where the thing is, because a hand is there::

    place_q(outset, scene) = [outset ; scene] W_q + b_q      least squares to the hand's position in frames
                                                             in which quantity q changes
"""

from typing import Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from wam.tasks.table import QUANTITIES

AXES: Final = 3
UNITS: Final = (0.015, 0.05)
"""Metres over which nearness falls off: the size of a finger, and that of a hand."""
RIDGE: Final = 0.03
"""Strength of the penalty on weights of inputs of deviation 1."""
LEAST_DEVIATION: Final = 0.05
"""Smallest deviation of an input that is divided by."""


class ContactPlaces(nn.Module):
    """The place of contact of each quantity of ``tasks.table.QUANTITIES``, all at the origin until fitted.

    Args:
        inputs: Width of what places are told from.
    """

    weight: Tensor
    bias: Tensor
    reach: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(len(QUANTITIES), inputs, AXES))
        self.register_buffer("bias", torch.zeros(len(QUANTITIES), 1, AXES))
        self.register_buffer("reach", torch.ones(AXES))

    def reset_(self) -> None:
        """Put all places at the origin, one metre to a unit."""
        self.weight.zero_()
        self.bias.zero_()
        self.reach.fill_(1)

    def forward(self, known: Float[Tensor, "*B I"]) -> Float[Tensor, "*B Q 3"]:
        """Normalised positions at which a hand moves each quantity."""
        found: Tensor = torch.einsum("...i,qia->...qa", known, self.weight)
        return found + self.bias[:, 0]

    def nearness(
        self, position: Float[Tensor, "*B 3"], places: Float[Tensor, "*B Q 3"]
    ) -> Float[Tensor, "*B N"]:
        """On which side of each place a hand is, and how near, along each axis.

        Args:
            position: Of the hand, normalised.
            places: As ``forward`` gives them.

        Returns:
            ``N = nearness_dim()`` values: tanh and Gaussian of the distance in each of ``UNITS``.
        """
        away = (position[..., None, :] - places) * self.reach
        shown = [f(away / unit) for unit in UNITS for f in (torch.tanh, _bell)]
        return torch.cat([x.flatten(start_dim=-2) for x in shown], dim=-1)

    @staticmethod
    def nearness_dim() -> int:
        """Width of what :meth:`nearness` gives."""
        return len(QUANTITIES) * AXES * 2 * len(UNITS)

    @torch.no_grad()
    def fit_(
        self, quantity: int, known: Float[Tensor, "n I"], position: Float[Tensor, "n 3"]
    ) -> Float[Tensor, "3"]:
        """Find the place of one quantity in frames in which it changes.

        Args:
            quantity: Its number in ``QUANTITIES``.
            known: What is known of each frame.
            position: Of the hand in it, normalised.

        Returns:
            Mean error along each axis, m.
        """
        mean, middle = known.double().mean(dim=0), position.double().mean(dim=0)
        deviation = known.double().std(dim=0, correction=0).clamp(min=LEAST_DEVIATION)
        x, y = (known.double() - mean) / deviation, position.double() - middle
        squares = x.t() @ x / len(x) + RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        weight = torch.linalg.solve(squares, x.t() @ y / len(x)) / deviation[:, None]
        self.weight[quantity].copy_(weight)
        self.bias[quantity].copy_(middle - mean @ weight)
        error: Tensor = (self(known)[:, quantity] - position).abs().mean(dim=0) * self.reach
        return error


def contacts(scene: Float[Tensor, "N Q"], rows: Int64[Tensor, " n"], least: float) -> list[Tensor]:
    """Of ``rows``, those after which each quantity changes by ``least`` or more.

    Args:
        scene: Of all frames, as a state carries it.
        rows: Frames that another of the same episode follows.
        least: Smallest change, in the units of a carried scene; lights change by 1.
    """
    change = (scene[rows + 1] - scene[rows]).abs()
    return [rows[change[:, place] >= least] for place in range(scene.shape[1])]


def _bell(x: Tensor) -> Tensor:
    return x.square().neg().exp()
