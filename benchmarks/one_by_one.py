"""Many episodes, starts and tasks at once against a plain loop over them, one by one.

    python -m benchmarks one_by_one

Times are by the clock: side by side means more than one core, and a plain loop has but one.
"""

import argparse
import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.made_up import made_up_episodes
from benchmarks.measure import Row, ratio_row, save, table, take_turns
from wam.contracts import config_from_dict
from wam.episodes.loaded import Episodes
from wam.evaluation.agent import WorldModelAgent
from wam.evaluation.rollout import rollout
from wam.nn.linear_init import fan_in_uniform_
from wam.parallel.map import available_workers, map_pieces, shutdown_workers
from wam.policy.cloning import Chunks, CloningObjective, chunks_from_episodes, clone_policy
from wam.policy.config import CloningConfig, DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.classifier import RewardClassifier
from wam.reward.config import ClassifierConfig, RewardTrainingConfig
from wam.reward.train import RewardObjective, train_classifier
from wam.seeding import numpy_generator, torch_generator
from wam.sim.config import SimConfig
from wam.sim.pool import SimPool
from wam.sim.starts import sample_start
from wam.tasks.table import TASK_NAMES
from wam.training.config import OptimizerConfig
from wam.world_model.config import WorldModelConfig
from wam.world_model.featurize import features_by_row, featurize_episodes
from wam.world_model.filtering import CHUNK_STEPS, encode_rows
from wam.world_model.model import WorldModel

BAR: Final = 4.0
METHOD: Final = (
    "Median [smallest..largest] ratio of seconds by the clock, both sides in turn, torch with one thread a "
    "process, fp32, models of the laptop's size with first weights, made-up frames and features. The plain "
    "loop runs in one process and takes one frame, one start or one task after another, with autograd and an "
    "optimiser of one call a tensor; ours has as many processes as the machine has cores where the pipeline "
    "has them too."
)


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes:
        episodes: Filtered to features, of ``frames`` frames each.
        frames: Frames of an episode.
        starts: Of one task, evaluated with a policy that has learned nothing.
        max_steps: Control steps of an evaluation.
        tasks: Policies and classifiers.
        steps: Gradient steps of each.
        rows: Rows of features that each learns from.
        width: Of the networks, as a multiple of the laptop's.
    """

    episodes: int = 64
    frames: int = 64
    starts: int = 29
    max_steps: int = 72
    tasks: int = len(TASK_NAMES)
    steps: int = 200
    rows: int = 4500
    width: float = 1.0

    def of(self, laptop: int) -> int:
        """A width."""
        return max(2, round(laptop * self.width))


TOY: Final = Sizes(episodes=2, frames=4, starts=2, max_steps=4, tasks=2, steps=2, rows=200, width=0.05)


def model_of(sizes: Sizes) -> WorldModel:
    """A world model with first weights."""
    page = {
        "encoder": {"cnn_depth": sizes.of(12)},
        "rssm": {
            "deter": sizes.of(256),
            "stoch_dim": sizes.of(256),
            "stoch_classes": 4,
            "hidden": sizes.of(256),
        },
        "decoder": {"cnn_depth": sizes.of(12)},
        "inverse_dynamics": {"hidden": []},
        "losses": {"kl_coef": 0.3, "action_coef": 0.0},
    }
    return WorldModel(config_from_dict(WorldModelConfig, page)).eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def featurize_one_by_one(model: WorldModel, episodes: Episodes) -> np.ndarray:
    """Features of every frame ``(N, F)``, each frame by itself, from the noise of ``featurize_episodes``."""
    feats = np.empty((episodes.num_frames, model.feat_dim), np.float32)
    for start, length in zip(episodes.episode_start, episodes.episode_length, strict=True):
        generator = torch_generator(0, "filter", "episode", int(episodes.frame_id[start]))
        draws = [model.noise(1, CHUNK_STEPS, generator=generator) for _ in range(0, length, CHUNK_STEPS)]
        state, noise = model.initial_state(1), torch.cat(draws, dim=1)
        for row in range(start, start + length):
            rows = np.array([row])
            action = torch.from_numpy(episodes.prev_action_at(rows))[None]
            is_first = torch.tensor([[row == start]])
            embed = encode_rows(model, episodes, rows)[None]
            now = noise[:, row - start, None]
            state = model.rssm.observe(embed, action, is_first, state, now).state
            feats[row] = state.feat.numpy()[0]
    return feats


def featurising(sizes: Sizes) -> dict[str, Callable[[], object]]:
    """Both sides."""
    model, episodes = model_of(sizes), made_up_episodes(sizes.episodes, sizes.frames)

    def ours() -> object:
        pieces = featurize_episodes(model, episodes, seed=0, batch=64)
        return features_by_row(pieces, episodes.num_frames, model.feat_dim)

    return {"ours": ours, "plain": lambda: featurize_one_by_one(model, episodes)}


def evaluation(sizes: Sizes, pool: SimPool, alone: SimPool) -> dict[str, Callable[[], object]]:
    """Both sides: all starts in lockstep in a pool, or each by itself in this process."""
    model, task = model_of(sizes), TASK_NAMES[0]
    policy = DiffusionPolicy(
        model.feat_dim, DiffusionConfig(hidden=sizes.of(256), standardize_condition=False)
    )
    fan_in_uniform_(policy, 0)
    agent = WorldModelAgent(model, policy.eval(), act_steps=4, start_repeats=8, seed=0)
    rng = numpy_generator(1, "one by one")
    starts = [sample_start(SimConfig(), rng, task) for _ in range(sizes.starts)]

    def plain() -> object:
        return [rollout(alone, [start], task, agent, max_steps=sizes.max_steps) for start in starts]

    return {"ours": lambda: rollout(pool, starts, task, agent, max_steps=sizes.max_steps), "plain": plain}


def _features(sizes: Sizes, task: int) -> np.ndarray:
    width = model_of(sizes).feat_dim
    return numpy_generator(2, "one by one", task).normal(size=(sizes.rows, width)).astype(np.float32)


def _chunks(sizes: Sizes, task: int) -> Chunks:
    action = numpy_generator(3, "one by one", task).uniform(-1, 1, (sizes.rows, 7)).astype(np.float32)
    place = np.arange(sizes.rows)
    return chunks_from_episodes(_features(sizes, task), action, place // 50, place % 50, horizon_steps=4)


def _optimizer() -> OptimizerConfig:
    return OptimizerConfig(learning_rate=1e-3)


def clone(sizes: Sizes, task: int) -> None:
    """One task's policy as the pipeline clones it."""
    page = DiffusionConfig(hidden=sizes.of(256), standardize_condition=True)
    training = CloningConfig(optimizer=_optimizer(), batch=64, steps=sizes.steps)
    clone_policy(_chunks(sizes, task), page, training, seed=task)


def clone_plainly(sizes: Sizes, task: int) -> None:
    """The same with autograd and an average of the weights, tensor by tensor."""
    chunks = _chunks(sizes, task)
    page = DiffusionConfig(hidden=sizes.of(256), standardize_condition=True)
    policy = DiffusionPolicy(chunks.cond.shape[1], page)
    policy.fit_condition(chunks.cond)
    objective = CloningObjective(policy, chunks, batch=64, seed=task)
    average = copy.deepcopy(policy)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3, foreach=False)
    for step in range(sizes.steps):
        optimizer.zero_grad()
        objective.loss(step).loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            for mean, value in zip(average.parameters(), policy.parameters(), strict=True):
                mean.lerp_(value, 0.005)


def _judged(sizes: Sizes, task: int) -> tuple[np.ndarray, np.ndarray, ClassifierConfig]:
    feat = _features(sizes, task)
    page = ClassifierConfig(
        encoder_hidden=sizes.of(256),
        embed_dim=sizes.of(128),
        head_hidden=sizes.of(128),
        sees_start=False,
        standardize=True,
    )
    return feat, np.arange(len(feat)) % 2 == 0, page


def classify(sizes: Sizes, task: int) -> None:
    """One task's classifier as the pipeline trains it."""
    training = RewardTrainingConfig(optimizer=_optimizer(), batch=64, steps=sizes.steps, balanced=True)
    train_classifier(*_judged(sizes, task), training, seed=task)


def classify_plainly(sizes: Sizes, task: int) -> None:
    """The same in a loop of its own."""
    feat, label, page = _judged(sizes, task)
    classifier = RewardClassifier(feat.shape[1], page)
    inputs = torch.from_numpy(feat)
    classifier.fit_input(inputs)
    objective = RewardObjective(
        classifier, inputs, torch.from_numpy(label), batch=64, balanced=True, seed=task
    )
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-3, foreach=False)
    for step in range(sizes.steps):
        optimizer.zero_grad()
        objective.loss(step).loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def per_task(
    sizes: Sizes, ours: Callable[[Sizes, int], None], plain: Callable[[Sizes, int], None], workers: int
) -> dict[str, Callable[[], object]]:
    """Both sides of what is done for every task."""
    tasks = range(sizes.tasks)

    def side_by_side() -> object:
        return list(map_pieces(partial(ours, sizes), tasks, workers=workers, description="tasks"))

    def in_turn() -> None:
        for task in tasks:
            plain(sizes, task)

    return {"ours": side_by_side, "plain": in_turn}


def rows(sizes: Sizes, workers: int, turns: int) -> list[Row]:
    """All rows of the table."""
    with SimPool(SimConfig(), workers=workers) as pool, SimPool(SimConfig(), workers=0) as alone:
        names = (
            f"featurising, {sizes.episodes} episodes of {sizes.frames} frames",
            f"evaluation, {sizes.starts} starts",
            f"classifiers of {sizes.tasks} tasks",
            f"cloning of {sizes.tasks} tasks",
        )
        works = (
            featurising(sizes),
            evaluation(sizes, pool, alone),
            per_task(sizes, classify, classify_plainly, workers),
            per_task(sizes, clone, clone_plainly, workers),
        )
        found = []
        for name, sides in zip(names, works, strict=True):
            seconds = take_turns(sides, turns, by_the_clock=True)
            found.append(ratio_row(name, "one by one", seconds["plain"], seconds["ours"], bar=BAR))
    shutdown_workers()
    return found


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks one_by_one", description=__doc__)
    parser.add_argument("--workers", type=int, default=available_workers(), help="processes")
    parser.add_argument("--turns", type=int, default=5, help="of each side")
    parser.add_argument("--toy", action="store_true", help="a trial of the benchmark itself")
    parser.add_argument("--save", type=Path, help="folder for the page and its data")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = rows(TOY if options.toy else Sizes(), options.workers, options.turns)
    print(table(found))
    if options.save:
        title, method = "Many at once against one by one", f"{METHOD} Processes: {options.workers}."
        print(save(found, options.save, "one-by-one", title, method))


if __name__ == "__main__":
    main(sys.argv[1:])
