"""One policy from the same starts in the simulator and in imagination."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from wam.diagnostics.calibration import ImaginedEpisodes, imagine_episodes
from wam.diagnostics.detection import PolicyFrames, WatchedAgent
from wam.diagnostics.probes import misses
from wam.diagnostics.quantities import quantities_called, values
from wam.diagnostics.ridge import LinearProbes
from wam.evaluation.agent import WorldModelAgent
from wam.evaluation.baselines import stack_layouts
from wam.evaluation.rollout import RolloutResult, rollout
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.judge import Judge
from wam.rl.config import PPOConfig
from wam.rl.imagined_env import ImaginedEnv
from wam.seeding import torch_generator
from wam.sight.conditions import imagined_sight
from wam.sight.frame_filter import PrevAction, first_state
from wam.sim.frames import SimFrames
from wam.sim.pool import SimPool
from wam.tasks.starts import Start
from wam.world_model.model import WorldModel


@dataclass(frozen=True)
class RealEpisodes:
    """What happened in the simulator.

    Attributes:
        outcome: Success and steps of every start.
        frames: Every frame, as the world model saw it.
        first: The first frames, from which imagination starts.
    """

    outcome: RolloutResult
    frames: PolicyFrames
    first: SimFrames


@dataclass(frozen=True)
class Trial:
    """A policy that is to be tried in both worlds.

    Attributes:
        model: In evaluation mode.
        policy: In evaluation mode, on the model's device.
        starts: Selection starts or scenes of practice, never held-out ones.
        task: The task.
        max_steps: Control steps of an episode at most.
        start_repeats: Times the first frame is filtered before the first decision.
        prev_action: What the filter is told of the action behind a frame; see ``WorldModelAgent``.
        seed: Of latent samples and denoising noise.

    Raises:
        ValueError: If the policy sees what the model cannot imagine.
    """

    model: WorldModel
    policy: DiffusionPolicy
    starts: Sequence[Start]
    task: str
    max_steps: int
    start_repeats: int
    prev_action: PrevAction
    seed: int

    def __post_init__(self) -> None:
        imagined_sight(self.policy.sees, self.model)  # refuses before any episode is run

    def roll_out(self, pool: SimPool, *, linger_steps: int) -> RealEpisodes:
        """One episode from every start in the simulator.

        Args:
            pool: Simulators.
            linger_steps: Control steps that an episode goes on after success.
        """
        agent = WorldModelAgent(
            self.model,
            self.policy,
            act_steps=self.policy.config.act_steps,
            start_repeats=self.start_repeats,
            seed=self.seed,
            prev_action=self.prev_action,
        )
        watched = WatchedAgent(agent, self.task)
        outcome = rollout(
            pool,
            self.starts,
            self.task,
            watched,
            max_steps=self.max_steps,
            linger_steps=linger_steps,
            description=f"calibrate {self.task}",
        )
        return RealEpisodes(outcome, watched.frames(), watched.first)

    def imagine(self, first: SimFrames, judge: Judge, ppo: PPOConfig, *, repeats: int) -> ImaginedEpisodes:
        """Episodes as long as real ones from the same first frames, judged as PPO's are.

        Args:
            first: First frames, rendered.
            judge: Judges; moved to the model's device.
            ppo: How the judge is asked and actions are sent.
            repeats: Episodes from each start.
        """
        act_steps = self.policy.config.act_steps
        latent = first_state(
            self.model, first, start_repeats=self.start_repeats, generator=self._generator("starts")
        )
        start = np.tile(np.arange(len(self.starts)), repeats)
        env = ImaginedEnv(
            self.model,
            judge.to(self.model.device),
            latent,
            num_envs=len(start),
            imagine_steps=act_steps * max(1, self.max_steps // act_steps),
            act_steps=act_steps,
            generator=self._generator("imagined"),
            sight=imagined_sight(self.policy.sees, self.model),
            **ppo.imagined_ways,
        )
        return imagine_episodes(env, self.policy, start, generator=self._generator("noise"))

    def _generator(self, use: str) -> torch.Generator:
        return torch_generator(self.seed, "calibration", use, self.task, device=self.model.device)


def missed_on_policy_frames(
    probes: LinearProbes, frames: PolicyFrames, starts: Sequence[Start], task: str
) -> pd.DataFrame:
    """Errors of the probes, summed over the frames that a policy came by.

    Returns:
        Columns task, quantity, is_light, frames, missed (cm, or lights read wrongly).
    """
    layouts = stack_layouts(starts)
    layout = None if layouts is None else layouts[frames.start]
    truth = values(frames.robot_obs, frames.scene_state, layout)
    listed = quantities_called(probes.names)
    missed = misses(probes.read(frames.feat), truth[:, : len(listed)], listed).sum(axis=0)
    columns = {"task": task, "quantity": list(probes.names), "is_light": [one.is_light for one in listed]}
    return pd.DataFrame({**columns, "frames": len(truth), "missed": missed})
