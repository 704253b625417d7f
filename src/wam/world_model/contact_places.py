r"""Where a hand is when it moves a thing: found by least squares in recorded play, without a label.

Play hardly ever misses, so a network that is shown where hands and colours are learns that a downward stroke
switches the light, wherever the switch is: of recorded strokes 3 to 6 cm beside it, it believed nearly all
(docs/learning/imagination.md). What must count is where the hand is from the thing. Frames in which a joint
moves say where the thing is, because a hand is there::

    place_j(outset, scene) = [outset ; scene] W_j + b_j      least squares to the hand's position in frames
                                                             in which joint j moves

Such frames also say how far from the place a hand may be and still move it: beyond that nothing is moved,
whatever a network makes of a pose that it never saw a miss in.
"""

from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

AXES: Final = 3
UNITS: Final = (0.015, 0.05)
"""Metres over which nearness falls off: the size of a finger, and that of a hand."""
RIDGE: Final = 0.03
"""Strength of the penalty on weights of inputs of deviation 1."""
LEAST_DEVIATION: Final = 0.05
"""Smallest deviation of an input that is divided by."""
STRAY: Final = 0.03
"""Share of the recorded contacts, at either end of each axis, that are no measure of how far hands reach: in
one first frame of twenty a thing is hidden, and where it is told to be is a guess."""


class Margins(NamedTuple):
    """Metres by which a hand may be farther off than hands were that moved a joint.

    Attributes:
        across: To the sides: places are told worse where a table is new.
        along: On the axis along which hands move when they move the joint: nothing stops an imagined hand,
            and what it pushes must catch up.
    """

    across: float
    along: float


FOLLOWED: Final = Margins(across=0.03, along=0.05)
"""Of what a hand takes with it over a long way, as a door. With 0.15 along, doors followed hands that had
slipped off or never had hold, from 10 to 25 cm beyond the knob."""
PRESSED: Final = Margins(across=0.012, along=0.025)
"""Of what is pressed, and over in a few centimetres. With the margins of a door, hands that had sunk past a
switch, 2 to 4 cm beside it, still switched it, and PPO went there (docs/decisions/0028-a-press-is-short.md).
"""


class ContactPlaces(nn.Module):
    """The place of contact of each joint, all at the origin until fitted, within anyone's reach.

    Args:
        joints: J, how many.
        inputs: I, width of what places are told from.
    """

    weight: Tensor
    bias: Tensor
    reach: Tensor
    nearest: Tensor
    farthest: Tensor

    def __init__(self, joints: int, inputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(joints, inputs, AXES))
        self.register_buffer("bias", torch.zeros(joints, 1, AXES))
        self.register_buffer("reach", torch.ones(AXES))
        self.register_buffer("nearest", torch.full((joints, AXES), -torch.inf))
        self.register_buffer("farthest", torch.full((joints, AXES), torch.inf))

    def reset_(self) -> None:
        """Put all places at the origin, one metre to a unit, and within reach of all hands."""
        self.weight.zero_()
        self.bias.zero_()
        self.reach.fill_(1)
        self.nearest.fill_(-torch.inf)
        self.farthest.fill_(torch.inf)

    def forward(self, known: Float[Tensor, "*B I"]) -> Float[Tensor, "*B J 3"]:
        """Normalised positions at which a hand moves each joint."""
        found: Tensor = torch.einsum("...i,jia->...ja", known, self.weight)
        return found + self.bias[:, 0]

    def nearness(
        self, position: Float[Tensor, "*B 3"], places: Float[Tensor, "*B J 3"]
    ) -> Float[Tensor, "*B N"]:
        """On which side of each place a hand is, and how near, along each axis.

        Args:
            position: Of the hand, normalised.
            places: As ``forward`` gives them.

        Returns:
            ``N = nearness_dim(J)`` values: tanh and Gaussian of the distance in each of ``UNITS``.
        """
        away = self._away(position, places)
        shown = [f(away / unit) for unit in UNITS for f in (torch.tanh, _bell)]
        return torch.cat([x.flatten(start_dim=-2) for x in shown], dim=-1)

    def within(
        self, position: Float[Tensor, "*B 3"], places: Float[Tensor, "*B J 3"]
    ) -> Bool[Tensor, "*B J"]:
        """Whether a hand is where hands were that moved each joint, along each axis.

        Args:
            position: Of the hand, normalised.
            places: As ``forward`` gives them.
        """
        away = self._away(position, places)
        return ((away >= self.nearest) & (away <= self.farthest)).all(dim=-1)

    def _away(self, position: Float[Tensor, "*B 3"], places: Float[Tensor, "*B J 3"]) -> Tensor:
        """From each place to the hand, m, ``(*B, J, 3)``."""
        away: Tensor = (position[..., None, :] - places) * self.reach
        return away

    @staticmethod
    def nearness_dim(joints: int) -> int:
        """Width of what :meth:`nearness` gives for so many joints."""
        return joints * AXES * 2 * len(UNITS)

    @torch.no_grad()
    def fit_(
        self,
        joint: int,
        known: Float[Tensor, "n I"],
        position: Float[Tensor, "n 3"],
        following: Float[Tensor, "n 3"],
        margins: Margins,
    ) -> Float[Tensor, "3"]:
        """Find the place of one joint in frames in which it moves, and how far from it hands are then.

        Args:
            joint: Its number.
            known: What is known of each frame.
            position: Of the hand in it, normalised.
            following: Of the hand in the next frame.
            margins: Beyond what was recorded.

        Returns:
            Mean error along each axis, m.
        """
        mean, middle = known.double().mean(dim=0), position.double().mean(dim=0)
        deviation = known.double().std(dim=0, correction=0).clamp(min=LEAST_DEVIATION)
        x, y = (known.double() - mean) / deviation, position.double() - middle
        squares = x.t() @ x / len(x) + RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        weight = torch.linalg.solve(squares, x.t() @ y / len(x)) / deviation[:, None]
        self.weight[joint].copy_(weight)
        self.bias[joint].copy_(middle - mean @ weight)
        away = (position - self(known)[:, joint]) * self.reach
        bounds = torch.quantile(away, away.new_tensor([STRAY, 1 - STRAY]), dim=0)
        margin = torch.full_like(self.reach, margins.across)
        along = int(((following - position) * self.reach).abs().mean(dim=0).argmax())
        margin[along] = margins.along
        self.nearest[joint], self.farthest[joint] = bounds[0] - margin, bounds[1] + margin
        error: Tensor = away.abs().mean(dim=0)
        return error


def contacts(
    joints: Float[Tensor, "N J"], rows: Int64[Tensor, " n"], least: Float[Tensor, " J"]
) -> list[Int64[Tensor, " m"]]:
    """Of ``rows``, those after which each joint moves by ``least`` or more.

    Args:
        joints: Of all frames, as a state carries them.
        rows: Frames that another of the same episode follows.
        least: Smallest change of each, in the same units.
    """
    moved = (joints[rows + 1] - joints[rows]).abs() >= least
    return [rows[each] for each in moved.unbind(dim=-1)]


def _bell(x: Tensor) -> Tensor:
    return x.square().neg().exp()
