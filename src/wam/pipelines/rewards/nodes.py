"""Success labels, near misses, the classifiers trained on both, and what features say of the scene."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from wam.contracts import config_from_dict
from wam.datasets import ArrayBlocks, Arrays
from wam.demonstrations.control_conditions import unit_proprio
from wam.demonstrations.failures import NearMissConfig, record_attempts, undecidable_kinds
from wam.demonstrations.held_out import detection_table
from wam.demonstrations.play_pairs import FeaturesAt, PlayFrames, draw_play_pairs
from wam.demonstrations.replay_labels import label_segments
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore
from wam.pipelines.features.nodes import demonstrations
from wam.pipelines.history import Metrics
from wam.pipelines.pages import ComputeConfig, RewardsConfig, TaskRow
from wam.pipelines.rewards.sets import Draw, RewardSets, TaskFrames, proprio_sets, world_model_sets
from wam.reward.classifier import RewardClassifier
from wam.reward.config import (
    ClassifierConfig,
    ReadoutConfig,
    ReadoutTrainingConfig,
    RewardTrainingConfig,
)
from wam.reward.metrics import precision_recall
from wam.reward.readout import ReadoutJudge, SceneReadout
from wam.reward.readout_training import readout_quality, train_readout
from wam.reward.train import train_classifier
from wam.sim.config import SimConfig
from wam.tasks.table import QUANTITIES
from wam.tasks.table import task as task_called
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device
from wam.world_model.config import WorldModelConfig
from wam.world_model.model import WorldModel

_JUDGED_AT_ONCE: Final = 4096
"""Frames of a training set, of which there are gigabytes."""


def label_experts(
    expert_segments: pd.DataFrame,
    training_episodes: EpisodeStore,
    simulator: SimConfig,
    config: RewardsConfig,
    compute: ComputeConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Oracle labels of every demonstration frame, and whether each segment's replay succeeded."""
    labels = label_segments(
        simulator,
        demonstrations(expert_segments),
        training_episodes.load(images=False),
        workers=compute.processes,
        source=config.label_source,
        pairing=config.pairing,
    )
    return labels.frames, labels.segments


def record_near_misses(simulator: SimConfig, config: NearMissConfig, compute: ComputeConfig) -> ArrayBlocks:
    """Rendered near misses beside successes, to train on and to judge by."""
    return ArrayBlocks(record_attempts(simulator, config, workers=compute.processes))


def train_scene_readout(
    world_model: Checkpoint,
    play_features: Arrays,
    training_episodes: EpisodeStore,
    readout: ReadoutConfig,
    training: ReadoutTrainingConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[Checkpoint, Metrics]:
    """What a world model's features say of the scene; returns weights and errors on episodes held back.

    Where the state carries the scene nothing is trained: it is copied, and as wrong as it was read. The world
    model learned that reading from all training episodes, so the errors are then those of training.
    """
    episodes = training_episodes.load(images=False)
    ids = play_features["frame_id"]
    chosen = np.arange(0, len(ids), math.ceil(len(ids) / training.max_frames))
    rows = episodes.row_of(ids[chosen])
    held_back = episodes.episode_of(rows) % training.hold_back == training.hold_back - 1
    size = config_from_dict(WorldModelConfig, world_model.config)
    if size.scene_at is not None:
        copied = SceneReadout(size.feat, readout, size.scene_at)
        feat = torch.from_numpy(np.asarray(play_features.lazy("feat").oindex[chosen[held_back]]))
        scene = torch.from_numpy(episodes.scene_state[rows[held_back]][:, QUANTITIES].astype(np.float32))
        errors = readout_quality(copied, feat, scene)
        return copied.to_checkpoint(), {"stage": "rewards", "task": "all", **errors}
    trained, errors = train_readout(
        np.asarray(play_features.lazy("feat").oindex[chosen]),
        episodes.scene_state[rows],
        held_back,
        readout,
        training,
        seed=seed,
        device=resolve_device(compute.device),
        stop_after=compute.stop_after,
    )
    return trained.to_checkpoint(), {"stage": "rewards", "task": "all", **errors}


def train_reward_classifier(
    world_model: Checkpoint,
    scene_readout: Checkpoint,
    play_features: Arrays,
    expert_features: Arrays,
    training_episodes: EpisodeStore,
    expert_labels: pd.DataFrame,
    failure_episodes: Arrays,
    task: TaskRow,
    config: RewardsConfig,
    classifier: ClassifierConfig,
    training: RewardTrainingConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[Checkpoint, Metrics]:
    """A classifier on features; returns its weights, and the quality of both judges on held-out attempts."""
    model = WorldModel.from_checkpoint(world_model).to(resolve_device(compute.device)).eval()
    frames = TaskFrames.read(expert_features, expert_labels, failure_episodes, task.name)
    draw = Draw(negatives=config.negatives, balance=config.balance, seed=seed)
    feat = play_features.lazy("feat")  # rows are picked on disk: all of them may be gigabytes
    sets = world_model_sets(
        model,
        frames,
        draw,
        start_repeats=config.start_repeats,
        play=play_frames(
            training_episodes,
            config,
            task.name,
            seed,
            lambda rows: np.asarray(feat.oindex[rows]),
            model.feat_dim,
        ),
    )
    trained = _train(sets, classifier, training, compute, seed, task.name, model.config.feat_parts)
    readout = ReadoutJudge(SceneReadout.from_checkpoint(scene_readout), task_called(task.name)).eval()
    return trained.to_checkpoint(), quality(trained, sets, task.name) | readout_quality_on(readout, sets)


def train_proprio_classifier(
    expert_features: Arrays,
    training_episodes: EpisodeStore,
    expert_labels: pd.DataFrame,
    failure_episodes: Arrays,
    proprio_statistics: Mapping[str, Any],
    task: TaskRow,
    config: RewardsConfig,
    classifier: ClassifierConfig,
    training: RewardTrainingConfig,
    compute: ComputeConfig,
    seed: int,
) -> Metrics:
    """The blind classifier: quality that needs no eyes."""
    frames = TaskFrames.read(expert_features, expert_labels, failure_episodes, task.name)
    statistics = ProprioStatistics.from_dict(proprio_statistics)
    draw = Draw(negatives=config.negatives, balance=config.balance, seed=seed)
    proprio = training_episodes.read("proprio")
    play = play_frames(
        training_episodes,
        config,
        task.name,
        seed,
        lambda rows: unit_proprio(proprio[rows], statistics),
        proprio.shape[1],
    )
    sets = proprio_sets(frames, statistics, draw, play=play)
    return quality(_train(sets, classifier, training, compute, seed, task.name), sets, task.name)


def play_frames(
    training_episodes: EpisodeStore,
    config: RewardsConfig,
    task: str,
    seed: int,
    features: FeaturesAt,
    feat_dim: int,
) -> PlayFrames | None:
    """Pairs of frames of play that a task's classifier learns from; None where the page asks for none."""
    if config.play_pairs == 0:
        return None
    episodes = training_episodes.load(images=False)
    pairs = draw_play_pairs(episodes, task, config.play_pairs, most_steps=config.play_steps, seed=seed)
    return PlayFrames(pairs, episodes.proprio[pairs.end], features, feat_dim)


def _train(
    sets: RewardSets,
    classifier: ClassifierConfig,
    training: RewardTrainingConfig,
    compute: ComputeConfig,
    seed: int,
    task: str,
    parts: Sequence[int] = (),
) -> RewardClassifier:
    trained, _ = train_classifier(
        sets.training.inputs(sees_start=classifier.sees_start),
        sets.training.label,
        classifier,
        training,
        seed=seed,
        parts=parts,
        device=resolve_device(compute.device),
        stop_after=compute.stop_after,
        description=f"reward classifier {task}",
    )
    return trained


def readout_quality_on(readout: ReadoutJudge, sets: RewardSets) -> Metrics:
    """Precision and recall of the other judge on the same held-out set."""
    held_out = sets.held_out.frames
    shown = torch.from_numpy(held_out.inputs(sees_start=True))
    counts = precision_recall(held_out.label, readout.predict(shown).numpy())
    return {"readout_precision": counts.precision, "readout_recall": counts.recall}


def quality(classifier: RewardClassifier, sets: RewardSets, task: str) -> Metrics:
    """Precision and recall on the held-out set, sizes, and false positives by kind of frame.

    Beside them stand precision and recall on the training set itself, because published figures seem to be
    such ones (docs/published.md, fault B18); they say nothing of new frames.
    """
    held_out = sets.held_out.frames
    sees_start = classifier.config.sees_start
    predicted = classifier.predict(torch.from_numpy(held_out.inputs(sees_start=sees_start))).numpy()
    counts = precision_recall(held_out.label, predicted).to_dict()
    undecidable = () if sees_start else undecidable_kinds(task)
    table = detection_table(held_out, predicted, undecidable=undecidable).set_index("kind")
    decidable = table.loc["decidable", ["precision", "recall"]].dropna()
    seen = torch.from_numpy(sets.training.inputs(sees_start=sees_start))
    parts = [slice(at, at + _JUDGED_AT_ONCE) for at in range(0, len(seen), _JUDGED_AT_ONCE)]
    judged = torch.cat([classifier.predict(seen[part]) for part in parts]).numpy()
    on_training = precision_recall(sets.training.label, judged)
    by_kind = table["false_positive_rate"].drop(["all", "decidable"]).dropna()
    return {
        "stage": "rewards",
        "task": task,
        **counts,
        "training_precision": on_training.precision,
        "training_recall": on_training.recall,
        "training_frames": len(sets.training),
        "training_successes": int(sets.training.label.sum()),
        **{f"decidable_{name}": value for name, value in decidable.to_dict().items()},
        **{f"false_positive_rate_{kind}": rate for kind, rate in by_kind.to_dict().items()},
        **{f"pairs_{name}": value for name, value in sets.held_out.match_summary().items()},
    }
