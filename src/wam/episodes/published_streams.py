"""The published way to read play as streams, with the state leaking over the ends of episodes.

All windows of all episodes stand in one list, one entry for each first frame; a pass cuts the list into one
stretch per stream, from a random offset::

    list        [ windows of episode 0 | windows of episode 1 | ... ]      N entries, in order of frames
    stream 0     init, init + T, init + 2 T, ...
    stream 1     init + chunk, init + chunk + T, ...                        chunk = ceil(N / B)

A stream that runs past the end of an episode's entries goes on in the next episode, but almost never at its
first frame, so nothing tells the model that the episode changed (docs/published.md, fault B2). The last
frame of an episode is in no window (fault B3). It is kept to repeat published runs; ``sampler`` is the
corrected form.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wam.seeding import numpy_generator


class Streams(Protocol):
    """Windows of every training step as a pure function of the step."""

    def rows(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows ``(B, T)`` of a step, and where ``(B,)`` carried state must be reset before it."""
        ...


class PublishedStreams:
    """Windows of the public sampler; carried state is dropped at the start of a pass only.

    Attributes:
        batch: Streams, B.
        sequence_steps: Frames of a window, T.
        windows: N, entries of the list.
        chunk: Entries from one stream to the next.
        steps_per_pass: Steps of a pass.

    Raises:
        ValueError: If no episode is longer than a window.
    """

    def __init__(
        self,
        episode_start: NDArray[np.int64],
        episode_length: NDArray[np.int64],
        *,
        batch: int,
        sequence_steps: int,
        seed: int,
    ) -> None:
        self.batch = batch
        self.sequence_steps = sequence_steps
        self._seed = seed
        # from first to last frame: range(first, last + 1 - T), which leaves the last window out
        self._first = np.concatenate(
            [
                np.arange(start, start + max(0, length - sequence_steps))
                for start, length in zip(episode_start, episode_length, strict=True)
            ]
        )
        self.windows = len(self._first)
        if self.windows == 0:
            raise ValueError(
                f"no episode is longer than a window: sequence_steps is {sequence_steps}, the longest "
                f"episode has {int(np.max(episode_length, initial=0))} frames; record longer episodes or "
                "lower sequence_steps"
            )
        self.chunk = -(-self.windows // batch)
        self.steps_per_pass = -(-self.chunk // sequence_steps)

    def rows(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of one training step.

        Args:
            step: Training step, at least 0; any order.

        Returns:
            ``rows (B, T)``, and ``starts_new (B,)``: True everywhere in the first step of a pass, and nowhere
            else.

        Raises:
            ValueError: If ``step`` is negative.
        """
        if step < 0:
            raise ValueError(f"step must be at least 0, got {step}")
        number, position = divmod(step, self.steps_per_pass)
        offset = int(numpy_generator(self._seed, "published streams", number).integers(self.windows))
        stream = np.arange(self.batch)
        entry = (offset + position * self.sequence_steps + stream * self.chunk) % self.windows
        rows = self._first[entry][:, None] + np.arange(self.sequence_steps)
        return rows, np.full(self.batch, position == 0)
