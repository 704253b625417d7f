"""The state that the world model carries from frame to frame."""

from typing import NamedTuple

import torch
from torch import Tensor


class RSSMState(NamedTuple):
    """What the model believes after a frame.

    Attributes:
        deter: GRU state h, ``(B, D)``.
        stoch: One-hot sample z, ``(B, stoch_dim, stoch_classes)``.
    """

    deter: Tensor
    stoch: Tensor

    @property
    def feat(self) -> Tensor:
        """``[h ; z]``, ``(B, F)``: all that policies and classifiers are shown of a state."""
        return torch.cat([self.deter, self.stoch.flatten(start_dim=-2)], dim=-1)

    def detach(self) -> "RSSMState":
        """The same values without gradient."""
        return RSSMState(self.deter.detach(), self.stoch.detach())

    def masked(self, keep: Tensor) -> "RSSMState":
        """Zero the rows where ``keep``, ``(B,)``, is 0; elsewhere unchanged."""
        keep = keep.to(self.deter.dtype)
        return RSSMState(self.deter * keep[:, None], self.stoch * keep[:, None, None])

    def rows(self, index: Tensor | slice) -> "RSSMState":
        """The states of some rows of the batch."""
        return RSSMState(self.deter[index], self.stoch[index])
