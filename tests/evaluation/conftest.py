"""A play table without physics: every action moves the drawer by its first component."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from wam.sim.pool import SimFrames
from wam.tasks.starts import Start

DRAWER = 1


class FakePool:
    """Drawer position += 0.01 x first action component, on active tables; remembers what it was asked."""

    def __init__(self) -> None:
        self.scene = np.zeros((0, 24))
        self.steps: list[tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]] = []

    def reset(self, starts: Sequence[Start], *, render: NDArray[np.bool_]) -> SimFrames:
        self.scene = np.stack([start.scene_state for start in starts])
        self.steps = []
        return self._frames(render)

    def step(
        self,
        actions: NDArray[np.floating],
        *,
        active: NDArray[np.bool_],
        render: NDArray[np.bool_],
        meanwhile: Callable[[], object],
    ) -> SimFrames:
        self.steps.append((np.array(actions), active.copy(), render.copy()))
        self.scene = self.scene.copy()
        self.scene[active, DRAWER] += 0.01 * actions[active, 0]
        meanwhile()
        return self._frames(render)

    def _frames(self, render: NDArray[np.bool_]) -> SimFrames:
        count = len(self.scene)
        image = np.zeros((count, 64, 64, 3), np.uint8)
        image[:] = np.clip(self.scene[:, DRAWER] * 1000, 0, 255).astype(np.uint8)[:, None, None, None]
        image[~render] = 0
        robot = np.zeros((count, 15))
        robot[:, 0] = self.scene[:, DRAWER]
        return SimFrames(*(image if render.any() else None,) * 2, robot, self.scene.copy())


@pytest.fixture
def pool() -> FakePool:
    return FakePool()


@pytest.fixture
def closed_drawers() -> list[Start]:
    """Three starts, drawers closed."""
    return [Start(np.zeros(15), np.zeros(24)) for _ in range(3)]
