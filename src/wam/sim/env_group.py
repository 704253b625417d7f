"""The play tables of one worker of a pool."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wam.sim.backends import Table, make_table
from wam.sim.config import SimConfig
from wam.sim.frames import SimFrames, frames_of
from wam.tasks.starts import Start


class SimWorkerError(RuntimeError):
    """A worker of a pool failed; the message holds its own traceback."""


class SimWorker(Protocol):
    """Where some tables of a pool are: an ``EnvGroup`` elsewhere."""

    def send(self, *request: Any) -> None:
        """Ask for a method of the group, by name, with its arguments; never waits for the answer."""
        ...

    def receive(self) -> SimFrames:
        """The answer to the last request.

        Raises:
            SimWorkerError: The worker failed.
        """
        ...

    def close(self) -> None:
        """End the worker."""
        ...


class EnvGroup:
    """The environments of one process; grown when more starts than ever before are asked for.

    Args:
        config: The simulator.
    """

    def __init__(self, config: SimConfig) -> None:
        self._config = config
        self._envs: list[Table] = []

    def reset(self, starts: Sequence[Start], render: NDArray[np.bool_]) -> SimFrames:
        """Put each start on a table of its own; see ``SimPool.reset``."""
        while len(self._envs) < len(starts):
            self._envs.append(make_table(self._config, render=bool(render[len(self._envs)])))
        return self.restart(np.arange(len(starts)), starts, render)

    def restart(
        self, rows: NDArray[np.int64], starts: Sequence[Start], render: NDArray[np.bool_]
    ) -> SimFrames:
        """Put other starts on the tables in ``rows``; see ``SimPool.restart``."""
        seen = []
        for row, start, drawn in zip(rows, starts, render.tolist(), strict=True):
            env = self._envs[row]
            env.rendering = drawn
            seen.append(env.reset(options={"start": start}))
        return frames_of([observation for observation, _ in seen], [info for _, info in seen])

    def step(
        self, rows: NDArray[np.int64], actions: NDArray[np.float64], render: NDArray[np.bool_]
    ) -> SimFrames:
        """Take one control step on the tables in ``rows``; see ``SimPool.step``."""
        observations, infos = [], []
        for row, action, drawn in zip(rows, actions, render.tolist(), strict=True):
            env = self._envs[row]
            env.rendering = drawn
            observation, *_, info = env.step(action)
            observations.append(observation)
            infos.append(info)
        return frames_of(observations, infos)

    def close(self) -> None:
        """Free the environments."""
        for env in self._envs:
            env.close()
        self._envs.clear()
