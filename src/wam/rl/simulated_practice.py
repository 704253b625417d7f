"""Practice in the simulator, seen through a frozen world model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wam.contracts import config_to_dict
from wam.policy.config import Sees
from wam.rl.config import PPOConfig
from wam.rl.practice import Identity, named_weights
from wam.rl.simulated_env import SimulatedEnv
from wam.seeding import torch_generator
from wam.sight.frame_filter import PrevAction
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.tasks.starts import Start
from wam.world_model.model import WorldModel


@dataclass(frozen=True)
class Simulation:
    """Practice in the simulator.

    Attributes:
        pool: Simulators; evaluation may use it between iterations.
        simulator: Their settings.
        starts: Random scenes; never held-out starts.
        task: The task.
        world_model: Frozen filter of the frames.
        start_repeats: Times the first frame is filtered before the first decision.
        sees: What the policy sees.
        prev_action: What the filter is told of the action that led to a frame.
    """

    pool: SimPool
    simulator: SimConfig
    starts: Sequence[Start]
    task: str
    world_model: WorldModel
    start_repeats: int
    sees: Sees
    prev_action: PrevAction = "executed"
    name = "simulated"

    def environment(self, config: PPOConfig, act_steps: int, *, seed: int, iteration: int) -> SimulatedEnv:
        """See ``Practice``."""
        return SimulatedEnv(
            self.pool,
            self.starts,
            self.task,
            self.world_model,
            num_envs=config.envs,
            episode_steps=config.imagine_steps,
            act_steps=act_steps,
            start_repeats=self.start_repeats,
            generator=torch_generator(seed, "simulation", iteration),
            noise=torch_generator(seed, "simulation_noise", iteration, device=self.world_model.device),
            prev_action=self.prev_action,
            sees=self.sees,
        )

    def identity(self) -> Identity:
        """See ``Practice``."""
        scenes = [
            np.concatenate([start.robot_obs, start.scene_state, _layout(start)]) for start in self.starts
        ]
        page = {
            "simulator": config_to_dict(self.simulator),
            "task": self.task,
            "start_repeats": self.start_repeats,
            "prev_action": self.prev_action,
        }
        weights = {"scenes": torch.from_numpy(np.stack(scenes))}
        return Identity(weights | named_weights("world_model", self.world_model), page)


def _layout(start: Start) -> NDArray[np.float64]:
    return np.zeros(0) if start.layout is None else start.layout
