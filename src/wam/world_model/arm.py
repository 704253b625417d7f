r"""How the arm moves: the part of the world that needs no learning from pixels.

A robot measures its own pose, and an action says how the pose changes. Carried beside h and z the pose is
exact on real frames, and in imagination it follows from the actions alone::

    arm[t] = measured (a frame is seen)      arm[t+1] = arm[t] + phi(arm[t], action[t]) W  (imagined)

phi holds a constant, the action, the pose, and all products of both: an arm's Jacobian depends on its pose.
A turn bends as it goes, so the products of its angles are there too, alone and with the rotation: without
them a hand is turned too far by a twentieth of a range after 30 frames, with them by a thousandth, and
policies answer to its turn before all else. W is found once, by least squares over the training episodes.
An action is a motion there, and ends where the table begins; a policy's is a command, and may lead through
it. So no hand is imagined lower than one was ever recorded thereabouts. Not part of the published models,
which must read the pose off z: after a short training they lose it by centimetres in a few frames
(docs/learning/imagination.md).
"""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wam.contracts import ACTION_DIM, PROPRIO_DIM

HEIGHT: Final = 2
"""Of proprioception: how high the hand is; x and y come before it."""
RIDGE: Final = 1e-7
"""Strength of the penalty on W, in units of the mean squares of phi; no more than double precision needs.
With 1e-3 a hand falls short of its actions by 2.7 mm in 50 frames, and a press does not press."""
BLOCK: Final = 65_536
"""Pairs of frames whose terms are held at a time."""
CELLS: Final = 24
"""Into which the range of x, and that of y, is cut to find how low hands were: 2 to 3 cm each."""
ROTATION: Final = slice(3, 9)
"""Of proprioception: the six rotation numbers."""
ANGLES: Final = slice(3, 6)
"""Of actions: the turn."""
_PAIRS: Final = tuple((i, j) for i in range(ANGLES.start, ANGLES.stop) for j in range(i, ANGLES.stop))
TERMS: Final = (1 + ACTION_DIM) * (1 + PROPRIO_DIM) + len(_PAIRS) * (1 + ROTATION.stop - ROTATION.start)
"""Numbers in phi."""


class ArmMotion(nn.Module):
    """The next pose of an arm from its pose and the action; it stands still until ``fit_`` was called."""

    weight: Tensor
    floor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(TERMS, PROPRIO_DIM))
        self.register_buffer("floor", torch.zeros(CELLS, CELLS))

    def reset_(self) -> None:
        """Stand still, with nothing below."""
        self.weight.zero_()
        self.floor.zero_()

    def forward(self, arm: Float[Tensor, "*B P"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B P"]:
        """Pose after ``action``.

        Args:
            arm: Normalised proprioception: [0, 1] is what the training episodes hold.
            action: That is executed.

        Returns:
            Within [0, 1], and not below the floor: no arm is imagined where none was seen.
        """
        moved = (arm + _terms(arm, action) @ self.weight).clamp(0, 1)
        x, y = _cell(moved)
        height = torch.maximum(moved[..., HEIGHT], self.floor[x, y])
        return torch.cat((moved[..., :HEIGHT], height[..., None], moved[..., HEIGHT + 1 :]), dim=-1)

    @torch.no_grad()
    def fit_(
        self, arm: Float[Tensor, "N P"], action: Float[Tensor, "N A"], following: Float[Tensor, "N P"]
    ) -> None:
        """Find W in recorded pairs of frames.

        Args:
            arm: Normalised proprioception of the first frames.
            action: That led from each to the next.
            following: Of the next frames.

        Raises:
            ValueError: If there is no pair.
        """
        if len(arm) == 0:
            raise ValueError(
                "no frame follows another: how the arm moves cannot be found; record longer episodes, or set "
                "world_model.rssm.carries_arm, and what wants it, to false"
            )
        squares = RIDGE * len(arm) * torch.eye(TERMS, dtype=torch.float64, device=arm.device)
        changes = squares.new_zeros(TERMS, PROPRIO_DIM)
        blocks = (torch.split(x.double(), BLOCK) for x in (arm, action, following))
        for before, executed, after in zip(*blocks, strict=True):
            terms = _terms(before, executed)
            squares.addmm_(terms.t(), terms)
            changes.addmm_(terms.t(), after - before)
        self.weight.copy_(torch.linalg.solve(squares, changes))
        self.floor.copy_(_floor(torch.cat((arm, following))))


def _cell(arm: Tensor) -> tuple[Tensor, Tensor]:
    place = (arm[..., :HEIGHT] * CELLS).long().clamp(0, CELLS - 1)
    return place[..., 0], place[..., 1]


def _floor(arm: Float[Tensor, "N P"]) -> Float[Tensor, "C C"]:
    """Lowest height in each cell and the eight around it; 0 where no hand was."""
    x, y = _cell(arm)
    lowest = arm.new_ones(CELLS * CELLS)
    lowest.scatter_reduce_(0, x * CELLS + y, arm[:, HEIGHT], "amin")
    around = -functional.max_pool2d(-lowest.view(1, 1, CELLS, CELLS), kernel_size=3, stride=1, padding=1)
    return torch.where(around < 1, around, torch.zeros_like(around))[0, 0]


def _terms(arm: Tensor, action: Tensor) -> Tensor:
    one = torch.ones_like(arm[..., :1])
    rotation = torch.cat((one, arm[..., ROTATION]), dim=-1)
    bends = torch.stack([action[..., i] * action[..., j] for i, j in _PAIRS], dim=-1)
    return torch.cat((one, action, arm, _products(action, arm), _products(bends, rotation)), dim=-1)


def _products(a: Tensor, b: Tensor) -> Tensor:
    return (a[..., :, None] * b[..., None, :]).flatten(start_dim=-2)
