r"""How the arm moves: the part of the world that needs no learning from pixels.

A robot measures its own pose, and an action says how the pose changes. Carried beside h and z the pose is
exact on real frames, and in imagination it follows from the actions alone::

    arm[t] = measured (a frame is seen)      arm[t+1] = arm[t] + phi(arm[t], action[t]) W  (imagined)

phi holds a constant, the action, the pose, and all products of both: an arm's Jacobian depends on its pose.
W is found once, by least squares over the training episodes. Not part of the published models, which must
read the pose off z: after a short training they lose it by centimetres in a few frames
(docs/learning/imagination.md).
"""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wam.contracts import ACTION_DIM, PROPRIO_DIM

RIDGE: Final = 1e-7
"""Strength of the penalty on W, in units of the mean squares of phi; no more than double precision needs.
With 1e-3 a hand falls short of its actions by 2.7 mm in 50 frames, and a press does not press."""
BLOCK: Final = 65_536
"""Pairs of frames whose terms are held at a time."""
TERMS: Final = 1 + ACTION_DIM + PROPRIO_DIM + ACTION_DIM * PROPRIO_DIM


class ArmMotion(nn.Module):
    """The next pose of an arm from its pose and the action; it stands still until ``fit_`` was called."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(TERMS, PROPRIO_DIM))

    def forward(self, arm: Float[Tensor, "*B P"], action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B P"]:
        """Pose after ``action``.

        Args:
            arm: Normalised proprioception: [0, 1] is what the training episodes hold.
            action: That is executed.

        Returns:
            Within [0, 1]: no arm is imagined where none was seen.
        """
        return (arm + _terms(arm, action) @ self.weight).clamp(0, 1)

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
                "world_model.rssm.carries_arm to false"
            )
        squares = RIDGE * len(arm) * torch.eye(TERMS, dtype=torch.float64, device=arm.device)
        changes = squares.new_zeros(TERMS, PROPRIO_DIM)
        blocks = (torch.split(x.double(), BLOCK) for x in (arm, action, following))
        for before, executed, after in zip(*blocks, strict=True):
            terms = _terms(before, executed)
            squares.addmm_(terms.t(), terms)
            changes.addmm_(terms.t(), after - before)
        self.weight.copy_(torch.linalg.solve(squares, changes))


def _terms(arm: Tensor, action: Tensor) -> Tensor:
    products = (action[..., :, None] * arm[..., None, :]).flatten(start_dim=-2)
    return torch.cat((torch.ones_like(arm[..., :1]), action, arm, products), dim=-1)
