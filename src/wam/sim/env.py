"""The play table as a gymnasium environment with CALVIN's observations and actions."""

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM, CONTROL_HZ, SCENE_STATE_DIM
from wam.sim import constants as c
from wam.sim.assets.source import make_assets
from wam.sim.cameras import GripperCamera, StaticCamera
from wam.sim.client import Client
from wam.sim.config import SimConfig
from wam.sim.info import describe
from wam.sim.layers import LayeredCamera
from wam.sim.layout import FIXED_LAYOUT, Layout
from wam.sim.robot import Robot
from wam.sim.scene import Scene
from wam.sim.starts import sample_start
from wam.tasks.predicates import succeeded
from wam.tasks.starts import Start
from wam.tasks.table import task as find_task

Observation = dict[str, Any]

_FAR, _TURN = 10.0, 3.2
"""Metres that nothing gets away from the table, even when dropped; just more than half a turn (rad)."""
_ROBOT_BOUND: Final = np.array([_FAR] * 3 + [_TURN] * 3 + [0.1] + [4.0] * 7 + [1.0])
_SCENE_BOUND: Final = np.array([0.4, 0.3, 0.1, 0.1, 1.0, 1.0] + 3 * ([_FAR] * 3 + [_TURN] * 3))
"""Generous bounds of the observation vectors, for the spaces only."""


def observation_space(config: SimConfig, *, rendering: bool) -> spaces.Dict:
    """The space of CALVIN's observations; `rgb_obs` is empty when not rendering."""
    images: dict[str, spaces.Space[Any]] = {}
    if rendering:
        static, gripper = config.image_size_static, config.image_size_gripper
        images = {
            "rgb_static": spaces.Box(0, 255, (static, static, 3), np.uint8),
            "rgb_gripper": spaces.Box(0, 255, (gripper, gripper, 3), np.uint8),
        }
    return spaces.Dict(
        {
            "rgb_obs": spaces.Dict(images),
            "robot_obs": spaces.Box(-_ROBOT_BOUND, _ROBOT_BOUND, dtype=np.float64),
            "scene_obs": spaces.Box(-_SCENE_BOUND, _SCENE_BOUND, dtype=np.float64),
        }
    )


def checked_action(action: NDArray[np.float64]) -> NDArray[np.float64]:
    """A copy of an action (7,), clipped to [-1, 1].

    Raises:
        ValueError: If the action has another shape or is not finite.
    """
    action = np.asarray(action, dtype=np.float64)
    if action.shape != (ACTION_DIM,) or not np.isfinite(action).all():
        raise ValueError(f"an action is {ACTION_DIM} finite numbers, got {action}")
    return np.clip(action, -1.0, 1.0)


class PlayTableEnv(gymnasium.Env[Observation, NDArray[np.float64]]):
    """A Franka at CALVIN's play table.

    Actions are relative: xyz x 0.02 m and Euler angles x 0.05 rad, added to a target pose that accumulates,
    and a gripper command that opens above 0. Values are clipped to [-1, 1]. One action is 1/30 s. With a
    task the reward is 1 on the step that solves it, which terminates the episode; without one it is 0.

    Attributes:
        rendering: Whether observations contain images; may be changed at any time.
        layout: Where the furniture stands in this episode.
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
        self._assets = make_assets(config)
        largest = max(config.image_size_static, config.image_size_gripper)
        self._client = Client(opengl=largest if config.renderer == "egl" else None)
        look = self._assets.manner.look
        static = LayeredCamera if look.casts_no_shadows else StaticCamera
        self._static_camera = static(self._client, config.image_size_static, look)
        self._gripper_camera = GripperCamera(self._client, config.image_size_gripper, look)
        self._start: Start | None = None
        self._steps = 0
        self._attempt_start = np.zeros(SCENE_STATE_DIM)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: at `options["start"]` (a `Start`), else at one drawn from the environment's seed.

        The world is built anew, so the same start gives the same bits after any history and in any process.

        Raises:
            ValueError: If `options` has an unknown key.
        """
        super().reset(seed=seed)
        unknown = set(options or {}) - {"start"}
        if unknown:
            raise ValueError(f"unknown reset options {sorted(unknown)}; the only one is 'start'")
        start: Start | None = (options or {}).get("start")
        if start is None:
            start = sample_start(self.config, self.np_random, None if self.task is None else self.task.name)
        self._place(start)
        self._steps = 0
        self._attempt_start = self._scene.observe()
        return self.observe(), {"start": start}

    def _place(self, start: Start) -> None:
        """Build the world of a start; one physics step settles the contacts, as CALVIN does."""
        self._load(self._layout_of(start))
        self._scene.reset(start.scene_state)
        self._robot.reset(start.robot_obs[7:14], float(start.robot_obs[6]), float(start.robot_obs[14]))
        self._client.stepSimulation()
        self._scene.enforce_limits()
        self._start = start

    def _layout_of(self, start: Start) -> Layout:
        if start.layout is None or start.layout.size == 0:
            return FIXED_LAYOUT
        return Layout.from_array(start.layout)

    def _load(self, layout: Layout) -> None:
        self._client.resetSimulation()
        self._client.setPhysicsEngineParameter(
            fixedTimeStep=1.0 / c.PHYSICS_HZ,
            deterministicOverlappingPairs=int(not self._assets.manner.published_build),
        )
        self._client.setGravity(0, 0, c.GRAVITY)
        self._robot = Robot(self._client, self._assets)
        self._scene = Scene(self._client, self._assets, layout)
        if isinstance(self._static_camera, LayeredCamera):
            scene = self._scene
            self._static_camera.begin(
                still=[*self._robot.still, *scene.still],
                loose=[block.body for block in scene.blocks],
                lights=[scene.bulb, scene.led],
            )
        self.layout = layout

    def step(self, action: NDArray[np.float64]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action of shape (7,) and let 1/30 s pass.

        Raises:
            RuntimeError: Before the first reset.
            ValueError: If the action has another shape or is not finite.
        """
        if self._start is None:
            raise RuntimeError("call reset before step")
        self._robot.act(checked_action(action))
        for _ in range(c.PHYSICS_STEPS_PER_ACTION):
            self._client.stepSimulation()
            self._scene.enforce_limits()
        self._scene.update_lights()
        self._steps += 1
        observation = self.observe()
        solved = self.task is not None and bool(
            succeeded(self.task, self._attempt_start, observation["scene_obs"])
        )
        truncated = self.max_steps is not None and self._steps >= self.max_steps
        return observation, float(solved), solved, truncated, {"success": solved}

    def observe(self) -> Observation:
        """The present observation in CALVIN's keys; `rgb_obs` is empty when not rendering."""
        images = {}
        if self.rendering:
            images = {
                "rgb_static": self._static_camera.draw(),
                "rgb_gripper": self._gripper_camera.draw(self._robot.body, self._robot.camera_link),
            }
        return {"rgb_obs": images, "robot_obs": self._robot.observe(), "scene_obs": self._scene.observe()}

    @property
    def target_pose(self) -> NDArray[np.float64]:
        """The accumulated target: xyz (m) and Euler xyz (rad), shape (6,), a copy."""
        return self._robot.target.copy()

    def get_info(self) -> dict[str, Any]:
        """Robot, furniture, blocks and contacts in the shape that CALVIN's task oracle reads."""
        return describe(self._client, self._robot, self._scene)

    def render(self) -> NDArray[np.uint8]:
        """The static camera's view, (h, w, 3) uint8."""
        return self._static_camera.draw()

    def close(self) -> None:
        """Free the physics client."""
        self._client.close()
        self._start = None
