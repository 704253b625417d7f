"""Which simulator plays: ours, or the official calvin_env. One setting, and one seam that all callers use."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wam.sim.calvin_backend import CalvinTableEnv
from wam.sim.config import SimConfig
from wam.sim.env import Observation, PlayTableEnv
from wam.sim.layout import Layout


class Table(Protocol):
    """What callers need of a play table.

    Attributes:
        rendering: Whether observations contain images; may be changed at any time.
        layout: Where the furniture stands in this episode.
    """

    rendering: bool
    layout: Layout

    @property
    def target_pose(self) -> NDArray[np.float64]:
        """The accumulated target: xyz (m) and Euler xyz (rad), shape (6,)."""
        ...

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode at `options["start"]`; `info["solved"]` (8,) where the table has a judge."""
        ...

    def step(self, action: NDArray[np.float64]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action (7,); `info["solved"]` as in `reset`."""
        ...

    def get_info(self) -> dict[str, Any]:
        """The present moment as task oracles read it."""
        ...

    def close(self) -> None:
        """Free what the table holds."""
        ...


def make_table(
    config: SimConfig, *, task: str | None = None, max_steps: int | None = None, render: bool = True
) -> Table:
    """The play table of the configured backend.

    Args:
        config: The simulator.
        task: Judged task, or None.
        max_steps: Control steps before an episode is truncated, or None.
        render: Whether observations contain images.

    Raises:
        CalvinEnvMissingError: If the official package is asked for and is not there.
        FileNotFoundError: If CALVIN's assets are asked for and a file is missing.
    """
    kind = CalvinTableEnv if config.backend == "calvin" else PlayTableEnv
    return kind(config, task=task, max_steps=max_steps, render=render)
