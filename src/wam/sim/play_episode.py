"""One episode of play: experts with noise chain feasible tasks without reset, and wander at times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM
from wam.seeding import numpy_generator
from wam.sim import constants as c
from wam.sim import starts
from wam.sim.backends import Table, make_table
from wam.sim.config import SimConfig
from wam.sim.expert_runs import Variant, draw_attempt, draw_displacement
from wam.sim.experts import STROKE_ENDS, Attempt, escape, plan
from wam.sim.play_agenda import SHORT, draw_agenda, start_for
from wam.sim.play_config import PlayConfig
from wam.sim.waypoints import CLOSED, GRIPPER_DOWN, OPEN, Leg, LegFollower
from wam.tasks.predicates import is_feasible, succeeded
from wam.tasks.table import JOINT_LIMITS, TASK_NAMES, TASKS, Task

ROOM: Final = 0.02
"""Metres beyond the threshold that a task must have left to be tried, and that a stroke goes at least."""
MISS_KINDS: Final[tuple[Variant, ...]] = ("short", "beside")
"""How a try misses on purpose."""
TRIES: Final = 2
"""Attempts at a task before play moves on."""
WARM_UP_STEPS: Final = (18, 30)
"""Aimless steps at the start: a segment needs 48 frames before its success (docs/published.md, segments)."""
AIMLESS_STEPS: Final = (6, 18)
KICK_STEPS: Final = (3, 6)
PRESS_DEPTHS: Final = (0.016, 0.020)
"""Metres; the LED toggles at 0.010."""
GRIPPER_TOGGLE: Final = 0.06
"""Chance per step of aimless motion that the gripper toggles."""
PUSH_HEIGHT: Final = 0.485
"""TCP height (m) for pushing blocks: finger tips at the blocks' middle."""
PUSH_REACH: Final = 0.06
"""Metres beside a block's centre at which a push begins; it ends as far on the other side."""


@dataclass(frozen=True)
class Recording:
    """One episode as recorded, N = stored frames + 1.

    Attributes:
        rgb_static: (N, h, w, 3) uint8.
        rgb_gripper: (N, h, w, 3) uint8.
        robot_obs: (N, 15) float64.
        scene_obs: (N, 24) float64.
        layout: (L,) float64; (0,) on CALVIN's own table.
        tries: Attempts at tasks.
        misses: Attempts that failed.
    """

    rgb_static: NDArray[np.uint8]
    rgb_gripper: NDArray[np.uint8]
    robot_obs: NDArray[np.float64]
    scene_obs: NDArray[np.float64]
    layout: NDArray[np.float64]
    tries: int
    misses: int


def record_episode(sim: SimConfig, config: PlayConfig, split: str, index: int) -> Recording:
    """Play and render one episode; it depends on the arguments alone.

    Args:
        sim: The simulator.
        config: How to play; the counts and the number of workers do not matter here.
        split: Name of the split or ``SHORT``, part of the seed.
        index: Number of the episode in its split.
    """
    rng = numpy_generator(config.seed, "play", split, index)
    agenda = draw_agenda(config.seed, split, index)
    start = start_for(sim, agenda, rng)
    env = make_table(sim, render=True)
    try:
        is_short = split == SHORT
        player = _Player(
            env,
            config,
            rng,
            env.reset(options={"start": start})[0],
            frames=config.short_episode_frames if is_short else config.episode_frames,
            miss_probability=config.short_miss_probability if is_short else 0.0,
            displaced_probability=config.short_displaced_probability if is_short else 0.0,
        )
        player.play(agenda, warm_up=config.short_warm_up or not is_short)
    finally:
        env.close()
    observations = player.observations
    return Recording(
        rgb_static=np.stack([o["rgb_obs"]["rgb_static"] for o in observations]),
        rgb_gripper=np.stack([o["rgb_obs"]["rgb_gripper"] for o in observations]),
        robot_obs=np.array([o["robot_obs"] for o in observations]),
        scene_obs=np.array([o["scene_obs"] for o in observations]),
        layout=np.zeros(0) if start.layout is None else start.layout,
        tries=player.tries,
        misses=player.misses,
    )


class _Player:
    """Acts in one environment and keeps what was seen, until the episode is full."""

    def __init__(
        self,
        env: Table,
        config: PlayConfig,
        rng: np.random.Generator,
        first: dict[str, Any],
        *,
        frames: int,
        miss_probability: float,
        displaced_probability: float,
    ) -> None:
        self._env, self._config, self._rng, self._frames = env, config, rng, frames
        self._miss_probability = miss_probability
        self._displaced_probability = displaced_probability
        self.observations = [first]
        self.tries = self.misses = 0
        self._kick, self._kick_left = np.zeros(ACTION_DIM - 1), 0

    @property
    def _full(self) -> bool:
        return len(self.observations) > self._frames

    @property
    def _scene(self) -> NDArray[np.float64]:
        scene: NDArray[np.float64] = self.observations[-1]["scene_obs"]
        return scene

    def play(self, agenda: Sequence[str], *, warm_up: bool) -> None:
        """Do the agenda, then whatever is possible, until the episode is full."""
        if warm_up:
            self._wander(int(self._rng.integers(*WARM_UP_STEPS)))
        queue = list(agenda)
        while not self._full:
            name = self._choose(queue)
            for _ in range(TRIES):
                if self._try(TASKS[name]):
                    break
            if not self._full and self._rng.random() < self._config.aimless_probability:
                self._be_aimless()

    def _choose(self, queue: list[str]) -> str:
        """The first possible task of the queue, removed from it, else any possible one."""
        possible = [name for name in TASK_NAMES if is_feasible(TASKS[name], self._scene, margin=ROOM)]
        for name in queue:
            if name in possible:
                queue.remove(name)
                return name
        return str(self._rng.choice(possible))

    def _try(self, task: Task) -> bool:
        before = self._scene
        self.tries += 1
        attempt = self._attempt(task)
        observation = self.observations[-1]
        self._follow(plan(attempt, self._env.layout, before, observation["robot_obs"]))
        done = bool(succeeded(task, before, self._scene))
        self.misses += not done and not self._full
        return done or self._full or not bool(is_feasible(task, self._scene, margin=ROOM))

    def _attempt(self, task: Task) -> Attempt:
        rng = self._rng
        if self._displaced_probability > 0 and rng.random() < self._displaced_probability:
            return replace(self._meant(task), offset=draw_displacement(task, rng))
        if self._miss_probability > 0 and rng.random() < self._miss_probability:
            kind = MISS_KINDS[rng.integers(len(MISS_KINDS))]
            return replace(draw_attempt(task, kind, self._scene, rng), speed=self._speed())
        return self._meant(task)

    def _speed(self) -> float:
        return float(self._rng.uniform(self._config.speed_low, self._config.speed_high))

    def _meant(self, task: Task) -> Attempt:
        """A try that means to succeed."""
        rng, speed = self._rng, self._speed()
        attempt = Attempt(task.name, speed=speed, press_depth=float(rng.uniform(*PRESS_DEPTHS)))
        if task.name not in STROKE_ENDS:
            return attempt
        if task.is_light:
            end = rng.uniform(*(starts.SWITCH_UP if task.delta > 0 else starts.SWITCH_DOWN))
            return replace(attempt, stroke_end=float(end))
        here = float(self._scene[task.quantity])
        low, high = JOINT_LIMITS[task.quantity]
        nearest = here + task.delta + np.sign(task.delta) * ROOM
        end = rng.uniform(*((nearest, high) if task.delta > 0 else (low, nearest)))
        return replace(attempt, stroke_end=float(np.clip(end, low, high)))

    def _be_aimless(self) -> None:
        if self._rng.random() < self._config.block_probability:
            self._push_block()
        else:
            self._wander(int(self._rng.integers(*AIMLESS_STEPS)))

    def _wander(self, steps: int) -> None:
        """Move towards random points for a number of steps, toggling the gripper now and then."""
        rng = self._rng
        gripper = OPEN if self.observations[-1]["robot_obs"][14] > 0 else CLOSED
        end = len(self.observations) + steps
        tcp = self.observations[-1]["robot_obs"][:3]
        legs = escape(tcp, self._config.speed_high, gripper)
        while not self._full and len(self.observations) < end:
            if not legs:
                point = rng.uniform(*np.array(starts.TCP_BOX).T)
                euler = np.array(GRIPPER_DOWN) + rng.uniform(-starts.TILT, starts.TILT, size=3)
                speed = float(rng.uniform(0.4, 1.0) * self._config.speed_high)
                legs = [Leg(point, (euler[0], euler[1], euler[2]), gripper, tolerance=0.02, speed=speed)]
            gripper = -gripper if rng.random() < GRIPPER_TOGGLE else gripper
            steps = min(end - len(self.observations), int(rng.integers(6, 14)))
            self._follow([replace(leg, gripper=gripper) for leg in legs], steps)
            legs = []

    def _push_block(self) -> None:
        """Push one block along x, wherever it ends up."""
        block = 6 + 6 * int(self._rng.integers(len(c.BLOCK_NAMES)))
        center = np.array([*self._scene[block : block + 2], PUSH_HEIGHT])
        if center[1] > -0.04 or center[1] < -0.18:
            return self._wander(int(self._rng.integers(*AIMLESS_STEPS)))
        side = np.array([float(self._rng.choice([-1.0, 1.0])) * PUSH_REACH, 0.0, 0.0])
        speed = self._config.speed_low
        legs = [
            Leg(center - side, tolerance=0.015, speed=speed, slope=3.0, patience=40),
            Leg(center + 0.7 * side, tolerance=0.015, speed=speed, straight=True, patience=15),
            Leg(center + 0.7 * side + np.array([0.0, 0.0, 0.06]), tolerance=0.03, speed=speed, patience=10),
        ]
        tcp = self.observations[-1]["robot_obs"][:3]
        return self._follow([*escape(tcp, speed, CLOSED), *legs])

    def _follow(self, legs: list[Leg], steps: int | None = None) -> None:
        """Follow legs with noise, to their end, for a number of steps, or until the episode is full."""
        follower = LegFollower(legs)
        taken = 0
        while not self._full and not follower.finished and (steps is None or taken < steps):
            action = follower.act(self.observations[-1]["robot_obs"], self._env.target_pose)
            action[:6] = np.clip(action[:6] + self._noise(), -1.0, 1.0)
            self.observations.append(self._env.step(action)[0])
            taken += 1

    def _noise(self) -> NDArray[np.float64]:
        rng, config = self._rng, self._config
        if self._kick_left == 0 and rng.random() < config.kick_probability:
            self._kick_left = int(rng.integers(KICK_STEPS[0], KICK_STEPS[1] + 1))
            self._kick = config.kick * rng.standard_normal(ACTION_DIM - 1)
        noise = config.noise * rng.standard_normal(ACTION_DIM - 1)
        if self._kick_left > 0:
            self._kick_left -= 1
            noise = noise + self._kick
        return noise
