"""Shuffled passes over rows, addressed by step: what is drawn follows from seed and step alone."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from wam.seeding import numpy_generator


class ShuffledPasses:
    """Endless shuffled passes over rows in batches.

    Args:
        rows: ``(N,)``, at least one.
        batch: Rows of a batch.
        seed: Of the shuffles.
        key: Names their random streams, one a pass.
        whole: Batches run on over the ends of passes, so that each has as many rows; else the last batch of a
            pass may be smaller.
    """

    def __init__(
        self, rows: Int64[np.ndarray, " N"], batch: int, seed: int, *key: str, whole: bool = False
    ) -> None:
        self._rows = rows
        self._batch = batch
        self._seed = seed
        self._key = key
        self._whole = whole
        self._pass: tuple[int, np.ndarray] = (-1, rows)

    @property
    def steps(self) -> int:
        """Batches of a pass."""
        return math.ceil(len(self._rows) / self._batch)

    def rows(self, step: int) -> Int64[np.ndarray, " batch"]:
        """Rows of the batch of ``step``, counted from 0; steps may come in any order."""
        if not self._whole:
            number, position = divmod(step, self.steps)
            return self._shuffled(number)[position * self._batch : (position + 1) * self._batch]
        count, first, last = len(self._rows), step * self._batch, (step + 1) * self._batch
        passes = range(first // count, math.ceil(last / count))
        found = [self._shuffled(n)[max(0, first - n * count) : last - n * count] for n in passes]
        return np.concatenate(found)

    def _shuffled(self, number: int) -> Int64[np.ndarray, " N"]:
        """Rows in the order of a pass."""
        if self._pass[0] != number:
            generator = numpy_generator(self._seed, *self._key, number)
            self._pass = (number, generator.permutation(self._rows))
        return self._pass[1]


class Stateless:
    """The half of an ``Objective`` that has nothing to keep: all it draws follows from seed and step."""

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore.

        Raises:
            ValueError: If there is something to restore.
        """
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, got {sorted(state)}")
