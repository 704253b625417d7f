"""The processes that train one model together, one a device; a process alone is a team of one.

The loop knows of a team only that some numbers are means over it and that one of it writes.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Team:
    """One process's place in a team; ``torch.distributed`` is set up when there is more than one.

    Attributes:
        rank: Of this process, from 0.
        size: Processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one process that shows, publishes and writes."""
        return self.rank == 0

    def mean(self, x: Tensor) -> Tensor:
        """Mean over the processes, the same bits in all of them. All must call it."""
        return x if self.size == 1 else self.sum(x) / self.size

    def sum(self, x: Tensor) -> Tensor:
        """Sum over the processes, the same bits in all of them. All must call it."""
        if self.size == 1:
            return x
        total = x.clone()
        distributed.all_reduce(total)
        return total

    def gather_rows(self, x: Tensor, rows: slice, count: int) -> Tensor:
        """Put together what each process holds some rows of. All must call it.

        Args:
            x: This process's rows.
            rows: Where they belong.
            count: Rows in all.
        """
        if self.size == 1:
            return x
        whole = torch.zeros((count, *x.shape[1:]), dtype=x.dtype, device=x.device)
        whole[rows] = x
        return self.sum(whole)


ALONE: Final = Team()
"""The team of one, which needs no ``torch.distributed``."""
