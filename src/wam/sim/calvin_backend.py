"""The official environment behind the same seam as ours: same starts, actions and observations."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM, CONTROL_HZ
from wam.sim.calvin_package import make_official_env, make_official_oracle
from wam.sim.config import SimConfig
from wam.sim.env import Observation, checked_action, observation_space
from wam.sim.layout import FIXED_LAYOUT
from wam.sim.starts import sample_start
from wam.tasks.table import TASK_NAMES
from wam.tasks.table import task as find_task


class CalvinTableEnv(gymnasium.Env[Observation, NDArray[np.float64]]):
    """`PlayTableSimEnv` of calvin_env, driven as `PlayTableEnv` is.

    Every reset loads the world anew: the official one puts bodies back into a used world, which does not
    repeat itself once there were contacts (docs/simulator.md). Success is what the official task
    oracle says. Values of actions are clipped to [-1, 1]; the gripper opens above 0.

    Attributes:
        rendering: Whether observations contain images; may be changed at any time.
        layout: CALVIN's own.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012

    def __init__(
        self, config: SimConfig, *, task: str | None = None, max_steps: int | None = None, render: bool = True
    ) -> None:
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps must be at least 1 or None, got {max_steps}")
        self.config = config
        self.task = None if task is None else find_task(task)
        self.max_steps = max_steps
        self.rendering = render
        self.render_mode = "rgb_array" if render else None
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float64)
        self.observation_space = observation_space(config, rendering=render)
        self.layout = FIXED_LAYOUT
        self._oracle = make_official_oracle(config)
        self._official = make_official_env(config)
        self._cameras = list(self._official.cameras)
        self._before: dict[str, Any] | None = None
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: at `options["start"]` (a `Start`), else at one drawn from the environment's seed.

        Raises:
            ValueError: If `options` has an unknown key, or the start belongs to a varied layout.
        """
        super().reset(seed=seed)
        unknown = set(options or {}) - {"start"}
        if unknown:
            raise ValueError(f"unknown reset options {sorted(unknown)}; the only one is 'start'")
        start = (options or {}).get("start")
        if start is None:
            start = sample_start(self.config, self.np_random, None if self.task is None else self.task.name)
        if start.layout is not None and start.layout.size > 0:
            raise ValueError("calvin_env has one table: it cannot take a start from a varied layout")
        official = self._official
        official.cameras = []
        official.load()
        official.reset(np.array(start.robot_obs), np.array(start.scene_state))
        official.robot.gripper_action = 1 if start.robot_obs[14] > 0 else -1
        self._steps = 0
        self._before = self.get_info()
        return self.observe(), {"start": start, "solved": self._solved(self._before)}

    def step(self, action: NDArray[np.float64]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action of shape (7,) and let 1/30 s pass.

        Raises:
            RuntimeError: Before the first reset.
            ValueError: If the action has another shape or is not finite.
        """
        if self._before is None:
            raise RuntimeError("call reset before step")
        command = checked_action(action)
        command[6] = 1.0 if command[6] > 0 else -1.0
        self._official.cameras = []
        moment = self._official.step(command)[3]
        self._steps += 1
        verdicts = self._solved(moment)
        solved = self.task is not None and bool(verdicts[TASK_NAMES.index(self.task.name)])
        truncated = self.max_steps is not None and self._steps >= self.max_steps
        return self.observe(), float(solved), solved, truncated, {"success": solved, "solved": verdicts}

    def _solved(self, moment: dict[str, Any]) -> NDArray[np.bool_]:
        """The official verdicts (8,) on the tasks of the table, relative to the reset."""
        done = self._oracle.get_task_info_for_set(self._before, moment, set(TASK_NAMES))
        return np.array([name in done for name in TASK_NAMES], np.bool_)

    def observe(self) -> Observation:
        """The present observation in CALVIN's keys; `rgb_obs` is empty when not rendering."""
        self._official.cameras = self._cameras if self.rendering else []
        seen = self._official.get_obs()
        images = {name: np.ascontiguousarray(image, np.uint8) for name, image in seen["rgb_obs"].items()}
        return {"rgb_obs": images, "robot_obs": seen["robot_obs"], "scene_obs": seen["scene_obs"]}

    @property
    def target_pose(self) -> NDArray[np.float64]:
        """The accumulated target: xyz (m) and Euler xyz (rad), shape (6,), a copy."""
        robot = self._official.robot
        return np.concatenate([robot.target_pos, robot.target_orn])

    def get_info(self) -> dict[str, Any]:
        """The official description of robot, furniture, blocks and contacts."""
        moment: dict[str, Any] = self._official.get_info()
        return moment

    def render(self) -> NDArray[np.uint8]:
        """The static camera's view, (h, w, 3) uint8."""
        return np.ascontiguousarray(self._cameras[0].render()[0], np.uint8)

    def close(self) -> None:
        """Free the physics client; a second call does nothing."""
        official = self._official
        if official.cid >= 0:
            official.p.disconnect(physicsClientId=official.cid)
            official.cid = -1
            official.close = _nothing  # it prints, and its finaliser calls it again
        self._before = None


def _nothing() -> None:
    """What is left to do for an official environment that is closed."""
