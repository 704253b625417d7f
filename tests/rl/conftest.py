"""A tiny latent world: a point on a line that actions push, solved when it is far enough to the right.

And tables without physics beside it, whose drawers actions push open.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_world import tiny_world_model

from wam.nn.linear_init import fan_in_uniform_
from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig
from wam.rl.config import PPOConfig
from wam.sim.frames import SimFrames
from wam.tasks.starts import Start
from wam.world_model.state import RSSMState

FEAT = 4
GOAL = 0.9
DRAWER = 1
DRAWER_STEP = 0.02
"""Metres that a full action opens a drawer: more than the 0.12 of the oracle after seven."""


class LineWorld(nn.Module):
    """``x += speed * action[0]``; the gripper's command is kept in the second place; z is noise."""

    def __init__(self) -> None:
        super().__init__()
        self.speed = nn.Parameter(torch.tensor(0.1))
        self.seen: list[Tensor] = []

    def imagine_step(self, state: RSSMState, action: Tensor, generator: torch.Generator) -> RSSMState:
        self.seen.append(action)
        x = state.deter[:, 0] + self.speed * action[:, 0]
        stoch = torch.zeros_like(state.stoch)
        picked = torch.randint(2, (len(x),), generator=generator)
        stoch[torch.arange(len(x)), 0, picked] = 1
        return RSSMState(torch.stack((x, action[:, -1]), -1), stoch)


class LineTables:
    """A pool of tables: the first action component opens the drawer; pictures show how far."""

    def __init__(self) -> None:
        self.scene = np.zeros((0, 24))
        self.sent: list[np.ndarray] = []
        self.moved: list[int] = []
        self.restarted: list[list[int]] = []

    def reset(self, starts: Sequence[Start], *, render: bool) -> SimFrames:
        assert render
        self.scene = np.stack([start.scene_state for start in starts])
        return self._frames()

    def restart(self, rows: np.ndarray, starts: Sequence[Start], *, render: bool) -> SimFrames:
        assert render
        self.restarted.append(rows.tolist())
        self.scene = self.scene.copy()
        self.scene[rows] = np.stack([start.scene_state for start in starts])
        return self._frames()

    def step(
        self, actions: np.ndarray, *, active: np.ndarray, render: bool, meanwhile: Callable[[], object]
    ) -> SimFrames:
        assert render
        meanwhile()
        self.sent.append(np.array(actions))
        self.moved.append(int(active.sum()))
        self.scene = self.scene.copy()
        self.scene[active, DRAWER] += DRAWER_STEP * actions[active, 0]
        return self._frames()

    def _frames(self) -> SimFrames:
        opened = self.scene[:, DRAWER]
        image = np.zeros((len(opened), 64, 64, 3), np.uint8)
        image[:] = np.clip(opened * 1000, 0, 255).astype(np.uint8)[:, None, None, None]
        robot = np.zeros((len(opened), 15))
        robot[:, 0] = opened
        return SimFrames(image, image, robot, self.scene.copy())


def make_drawers(count: int = 20) -> list[Start]:
    """Drawers open between 0 and 4 cm, rising."""
    scenes = np.zeros((count, 24))
    scenes[:, DRAWER] = np.linspace(0.0, 0.04, count)
    return [Start(np.zeros(15), scene) for scene in scenes]


def make_classifier(*, sees_start: bool = False) -> RewardClassifier:
    """Says success where ``x``, or with the start the change of ``x`` since then, is above the goal."""
    page = ClassifierConfig(
        encoder_hidden=1, embed_dim=1, head_hidden=1, sees_start=sees_start, standardize=False
    )
    classifier = RewardClassifier(FEAT, page)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
        classifier.encoder[0].weight[0, 0] = 1
        if sees_start:
            classifier.encoder[0].weight[0, FEAT] = -1
        classifier.encoder[0].bias[0] = 10
        for layer in (classifier.encoder[2], classifier.head[0]):
            layer.weight[0, 0] = 1
        classifier.head[2].weight[1, 0] = 1
        classifier.head[2].bias[1] = -10 - GOAL
    return classifier


def make_starts(count: int = 20) -> RSSMState:
    """Points between -0.2 and 0.2."""
    deter = torch.stack((torch.linspace(-0.2, 0.2, count), torch.ones(count)), -1)
    stoch = torch.zeros(count, 1, 2)
    stoch[:, 0, 0] = 1
    return RSSMState(deter, stoch)


def make_policy(seed: int = 0, cond_dim: int = FEAT, **changes: object) -> DiffusionPolicy:
    page = {"hidden": 32, "standardize_condition": False} | changes
    policy = DiffusionPolicy(cond_dim, DiffusionConfig(**page))
    fan_in_uniform_(policy, seed)
    return policy


def make_config(**changes: object) -> PPOConfig:
    page = {
        "iterations": 3,
        "envs": 6,
        "episodes_per_iteration": 1,
        "imagine_steps": 16,
        "eval_every": 2,
        "critic_hidden": 16,
        "update_epochs": 2,
        "critic_warmup_iterations": 0,
        "actor_learning_rate": 1e-3,
    }
    return PPOConfig(**(page | changes))


@pytest.fixture
def world() -> SimpleNamespace:
    """Builders of the line world's parts."""
    return SimpleNamespace(
        model=LineWorld(),
        classifier=make_classifier(),
        relative_classifier=make_classifier(sees_start=True),
        starts=make_starts(),
        policy=make_policy,
        config=make_config,
        feat=FEAT,
        goal=GOAL,
    )


@pytest.fixture
def tables() -> SimpleNamespace:
    """Tables whose drawers are pushed open, and a world model that watches them."""
    model = tiny_world_model()
    return SimpleNamespace(
        pool=LineTables(),
        starts=make_drawers(),
        model=model,
        policy=lambda seed=0, **changes: make_policy(seed, model.feat_dim, **changes),
    )
