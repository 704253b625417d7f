"""The stages whose costs are measured as frames, tasks, workers and width grow.

A stage is a function of a :class:`Point`. It prepares what is not its own work and returns the work, a call
of the library's own functions; what that costs is measured by ``benchmarks.growth``.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ingest import make_folder
from wam.contracts import config_from_dict
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.store import EpisodeStore
from wam.evaluation.agent import WorldModelAgent
from wam.evaluation.pools import borrowed_pool
from wam.evaluation.rollout import rollout
from wam.nn.linear_init import fan_in_uniform_
from wam.policy.cloning import chunks_from_episodes, clone_policy
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig, RewardTrainingConfig
from wam.reward.train import train_classifier
from wam.rl.config import PPOConfig
from wam.rl.finetune import finetune
from wam.rl.imagined_practice import Imagination
from wam.seeding import numpy_generator, torch_generator
from wam.sim.config import SimConfig
from wam.sim.play import PlayConfig, collect_play
from wam.sim.starts import sample_start
from wam.tasks.table import TASK_NAMES
from wam.training.config import Intervals, OptimizerConfig
from wam.training.loop import train
from wam.world_model.config import WorldModelConfig
from wam.world_model.featurize import features_by_row, featurize_episodes
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState
from wam.world_model.train import WorldModelObjective
from wam.world_model.training_config import WorldModelTrainingConfig

Work = Callable[[], object]


@dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
        stage: Its name.
        axis: What is varied.
        frames: Frames, or rows of features.
        tasks: Tasks, one after another.
        workers: Processes.
        width: Of the world model, as a multiple of the laptop's.
        folder: Scratch: raw frames and stores by their size.
        toy: Whether the fixed work is that of a trial.
    """

    stage: str
    axis: str
    frames: int
    tasks: int
    workers: int
    width: float
    folder: str
    toy: bool

    @property
    def value(self) -> float:
        """Where on its axis it lies."""
        return float(getattr(self, self.axis))

    def small(self, full: int, toy: int) -> int:
        """An amount of fixed work."""
        return toy if self.toy else full

    @property
    def raw(self) -> Path:
        """Folder in CALVIN's format."""
        return Path(self.folder) / f"raw-{self.frames}"

    @property
    def store(self) -> Path:
        """Packed frames."""
        return Path(self.folder) / f"{self.frames}.zarr"


def model_of(point: Point) -> WorldModel:
    """A world model with its first weights; width 1 is the laptop's, 4 about the published one."""
    deter, depth = round(256 * point.width), round(12 * point.width)
    if point.toy:
        deter, depth = round(16 * point.width), round(2 * point.width)
    codes = point.small(32, 4)
    page = {
        "encoder": {"cnn_depth": depth},
        "rssm": {"deter": deter, "stoch_dim": codes, "stoch_classes": codes, "hidden": deter},
        "decoder": {"cnn_depth": depth},
        "inverse_dynamics": {"hidden": []},
        "losses": {"kl_coef": 0.3, "action_coef": 0.0},
    }
    return WorldModel(config_from_dict(WorldModelConfig, page))


def optimizer(rate: float = 1e-4) -> OptimizerConfig:
    """AdamW."""
    return config_from_dict(OptimizerConfig, {"learning_rate": rate})


def raw_frames(point: Point) -> Work:
    """Not a stage: frames in CALVIN's format, links to 200 different ones, in episodes of 250."""
    distinct, length = point.small(200, 8), point.small(250, 30)
    return lambda: make_folder(
        point.raw, point.frames, min(distinct, point.frames), episode_frames=length, linked=True
    )


def play(point: Point) -> Work:
    """Scripted play with both cameras, written in CALVIN's format."""
    length = point.small(128, 66)
    page: dict[str, Any] = {"min_training_segments": 0, "test_starts": 0, "selection_starts": 0}
    page |= {"episode_frames": length, "training_episodes": max(1, point.frames // length - 1)}
    target = Path(point.folder) / f"play-{point.frames}-{point.workers}"
    return lambda: collect_play(target, SimConfig(), PlayConfig(**page, workers=point.workers))


def ingest(point: Point) -> Work:
    """Packing."""
    target = point.store if point.workers == 1 else point.store.with_suffix(".again.zarr")
    shutil.rmtree(target, ignore_errors=True)
    return lambda: ingest_split(
        point.raw, target, IngestConfig(workers=point.workers, require_annotations=False)
    )


def load(point: Point) -> Work:
    """A whole store into memory."""
    return lambda: EpisodeStore(point.store).load().num_frames


def world_model(point: Point) -> Work:
    """Steps of the training loop, on frames that are loaded already."""
    steps, batch, length = point.small(4, 2), point.small(16, 2), point.small(8, 4)
    page = WorldModelTrainingConfig(
        steps=steps, batch=batch, sequence_steps=length, optimizer=optimizer(), log_every=steps
    )
    objective = WorldModelObjective(model_of(point), EpisodeStore(point.store).load(), page, seed=0)
    return lambda: train(
        objective, steps=steps, optimizer=page.optimizer, every=Intervals(steps), description="world model"
    )


def featurise(point: Point) -> Work:
    """Features of every frame, from a store."""
    model = model_of(point).eval().requires_grad_(requires_grad=False)

    def work() -> None:
        episodes = EpisodeStore(point.store).load()
        pieces = featurize_episodes(model, episodes, seed=0, batch=16)
        features_by_row(pieces, episodes.num_frames, model.feat_dim)

    return work


def features(point: Point) -> np.ndarray:
    """Made-up features of the laptop's width."""
    rng = numpy_generator(0, "growth", point.frames)
    return rng.normal(size=(point.frames, point.small(1280, 32))).astype(np.float32)


def classifier(point: Point) -> Work:
    """A reward classifier for each task, a fixed number of steps."""
    feat = features(point)
    label = np.arange(len(feat)) % 2 == 0
    width = point.small(256, 8)
    page = ClassifierConfig(
        encoder_hidden=width, embed_dim=width // 2, head_hidden=width // 2, sees_start=False, standardize=True
    )
    training = RewardTrainingConfig(optimizer=optimizer(), batch=64, steps=point.small(100, 3), balanced=True)

    def work() -> None:
        for task in range(point.tasks):
            train_classifier(feat, label, page, training, seed=task)

    return work


def cloning(point: Point) -> Work:
    """A policy for each task, a fixed number of steps."""
    feat = features(point)
    rng = numpy_generator(1, "growth")
    action = rng.uniform(-1, 1, (len(feat), 7)).astype(np.float32)
    step = np.arange(len(feat)) % 50
    segment = np.arange(len(feat)) // 50
    page = DiffusionConfig(hidden=point.small(256, 16), standardize_condition=True)
    training = CloningConfig(optimizer=optimizer(), batch=64, steps=point.small(100, 3))

    def work() -> None:
        for task in range(point.tasks):
            chunks = chunks_from_episodes(feat, action, segment, step, horizon_steps=page.horizon_steps)
            clone_policy(chunks, page, training, seed=task)

    return work


def policy_of(point: Point, model: WorldModel) -> DiffusionPolicy:
    """A policy with its first weights."""
    page = DiffusionConfig(hidden=point.small(256, 16), standardize_condition=False)
    policy = DiffusionPolicy(model.feat_dim, page)
    fan_in_uniform_(policy, 0)
    return policy.eval()


def evaluation(point: Point) -> Work:
    """Eight starts of each task in closed loop; the policy has learned nothing, so episodes are long."""
    model, simulator = model_of(point).eval().requires_grad_(requires_grad=False), SimConfig()
    policy = policy_of(point, model)
    rng = numpy_generator(2, "growth")
    names = TASK_NAMES[: point.tasks]
    starts = {name: [sample_start(simulator, rng, name) for _ in range(point.small(8, 2))] for name in names}

    def work() -> None:
        with borrowed_pool(simulator, workers=0 if point.toy else point.workers) as pool:
            for name in names:
                agent = WorldModelAgent(model, policy, act_steps=4, start_repeats=1, seed=0)
                rollout(pool, starts[name], name, agent, max_steps=point.small(72, 8))

    return work


def fine_tuning(point: Point) -> Work:
    """One iteration of PPO in imagination for each task."""
    model = model_of(point).eval().requires_grad_(requires_grad=False)
    policy, width = policy_of(point, model), point.small(256, 8)
    judge = RewardClassifier(
        model.feat_dim,
        ClassifierConfig(
            encoder_hidden=width,
            embed_dim=width // 2,
            head_hidden=width // 2,
            sees_start=False,
            standardize=False,
        ),
    )
    fan_in_uniform_(judge, 0)
    size, generator = model.config.rssm, torch_generator(0)
    codes = torch.randint(size.stoch_classes, (100, size.stoch_dim), generator=generator)
    stoch = torch.nn.functional.one_hot(codes, size.stoch_classes).float()
    states = RSSMState(torch.rand(100, size.deter, generator=generator) * 2 - 1, stoch)
    config = PPOConfig(
        iterations=1,
        envs=point.small(50, 3),
        episodes_per_iteration=1,
        imagine_steps=point.small(72, 8),
        eval_every=1,
        critic_hidden=width,
        critic_warmup_iterations=0,
        update_epochs=point.small(5, 1),
    )

    def work() -> None:
        for task in range(point.tasks):
            practice = Imagination(model, judge.eval(), states, policy.sees)
            finetune(policy, practice, config, seed=task, evaluate=None)

    return work


STAGES: dict[str, Callable[[Point], Work]] = {
    "raw frames": raw_frames,
    "play": play,
    "ingest": ingest,
    "load": load,
    "world model": world_model,
    "featurise": featurise,
    "classifier": classifier,
    "cloning": cloning,
    "evaluation": evaluation,
    "ppo": fine_tuning,
}
"""By name."""
