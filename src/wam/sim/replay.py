"""Open-loop replay: recorded actions from a recorded start, no rendering, no feedback."""

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM
from wam.sim.backends import Table, make_table
from wam.sim.config import SimConfig
from wam.tasks.starts import Start


def replay_actions(
    config: SimConfig, start: Start, actions: NDArray[np.floating], *, env: Table | None = None
) -> NDArray[np.float64]:
    """Execute relative actions on the accumulating target from a start, and watch the scene.

    Args:
        config: The simulator.
        start: Robot, scene and layout to begin from; nothing else of the recording is used.
        actions: (T, 7) relative actions in [-1, 1].
        env: A table to use again (it must not render and is left open); a new one by default.

    Returns:
        (T + 1, 24) scene states: row 0 right after the reset, row t + 1 after action t.

    Raises:
        ValueError: Actions of another shape.
    """
    if np.ndim(actions) != 2 or np.shape(actions)[1] != ACTION_DIM:
        raise ValueError(f"actions must be (T, {ACTION_DIM}), got {np.shape(actions)}")
    table = env if env is not None else make_table(config, render=False)
    try:
        observation, _ = table.reset(options={"start": start})
        scenes = [observation["scene_obs"]]
        for action in np.asarray(actions, np.float64):
            scenes.append(table.step(action)[0]["scene_obs"])
    finally:
        if env is None:
            table.close()
    return np.array(scenes, np.float64)
