"""Where a policy is refined: in a world model's imagination, or in the simulator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wam.contracts import config_to_dict
from wam.policy.config import Sees
from wam.reward.classifier import RewardClassifier
from wam.rl.config import PPOConfig
from wam.rl.decision_env import DecisionEnv
from wam.rl.frame_filter import PrevAction
from wam.rl.imagined_env import ImaginationModel, ImaginedEnv
from wam.rl.sight import imagined_sight
from wam.rl.simulated_env import SimulatedEnv
from wam.seeding import torch_generator
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.tasks.starts import Start
from wam.world_model.imagination import FrozenPrior
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState


@dataclass(frozen=True)
class Identity:
    """What a practice is made of, for the digest that tells runs apart.

    Attributes:
        weights: Tensors by name.
        page: Plain settings by name.
    """

    weights: dict[str, Tensor]
    page: dict[str, Any]


class Practice(Protocol):
    """Makes the environments of each iteration, anew and of its number alone."""

    @property
    def name(self) -> str:
        """Word before ``_success`` in the history."""
        ...

    def environment(self, config: PPOConfig, act_steps: int, *, seed: int, iteration: int) -> DecisionEnv:
        """Environments of one iteration, which depend on seed and iteration alone."""
        ...

    def identity(self) -> Identity:
        """What shapes the environments, beside the page ``ppo``."""
        ...


class Imagination:
    """Practice in the frozen world model.

    Args:
        world_model: Rolls the prior.
        classifier: Judges.
        start_states: Latent states of random scenes, ``(N, ...)``; never of held-out starts.
        sees: What the policy sees.

    Raises:
        ValueError: If the world model cannot show that.
    """

    name = "imagined"

    def __init__(
        self,
        world_model: ImaginationModel,
        classifier: RewardClassifier,
        start_states: RSSMState,
        sees: Sees,
    ) -> None:
        self._sight = imagined_sight(sees, world_model)
        self._world_model, self._classifier, self._start_states = world_model, classifier, start_states
        on_cpu = isinstance(world_model, WorldModel) and world_model.device.type == "cpu"
        self._prior = FrozenPrior(world_model) if on_cpu else world_model  # type: ignore[arg-type]  # is one

    def environment(self, config: PPOConfig, act_steps: int, *, seed: int, iteration: int) -> ImaginedEnv:
        """See ``Practice``."""
        device = self._start_states.deter.device
        return ImaginedEnv(
            self._prior,
            self._classifier,
            self._start_states,
            num_envs=config.envs,
            imagine_steps=config.imagine_steps,
            act_steps=act_steps,
            generator=torch_generator(seed, "imagination", iteration, device=device),
            reward_steps=config.reward_steps,
            binarize_gripper=config.binarize_gripper,
            clip_action=config.clip_action,
            sight=self._sight,
        )

    def identity(self) -> Identity:
        """See ``Practice``."""
        weights = {"start/deter": self._start_states.deter, "start/stoch": self._start_states.stoch}
        weights |= _weights("world_model", self._world_model) | _weights("classifier", self._classifier)
        return Identity(weights, {"classifier": config_to_dict(self._classifier.config)})


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
        weights = {"scenes": torch.from_numpy(np.stack(scenes)), **_weights("world_model", self.world_model)}
        page = {
            "simulator": config_to_dict(self.simulator),
            "task": self.task,
            "start_repeats": self.start_repeats,
            "prev_action": self.prev_action,
        }
        return Identity(weights, page)


def _layout(start: Start) -> NDArray[np.float64]:
    return np.zeros(0) if start.layout is None else start.layout


def _weights(name: str, module: object) -> dict[str, Tensor]:
    if not isinstance(module, nn.Module):
        return {}
    return {f"{name}/{key}": value for key, value in module.state_dict().items()}
