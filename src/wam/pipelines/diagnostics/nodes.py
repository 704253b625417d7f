"""Probes of each world model; imagined beside real episodes of each cloned policy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from wam.datasets import Arrays
from wam.demonstrations.failures import read_attempts
from wam.diagnostics.calibration import (
    PRACTICE,
    ROW_COLUMNS,
    SELECTION,
    calibration_table,
    episode_rows,
    solved_by_probes,
    summarise,
)
from wam.diagnostics.config import CalibrationConfig, ProbeConfig, ToleranceConfig
from wam.diagnostics.detection import judge_attempts, judge_policy_frames
from wam.diagnostics.drift import measure_drift
from wam.diagnostics.events import measure_events
from wam.diagnostics.frames import JudgedFrames, judged_frames
from wam.diagnostics.probes import fit_and_score, probe_metrics
from wam.diagnostics.quantities import Quantity, quantities
from wam.diagnostics.ridge import LinearProbes
from wam.diagnostics.trial import RealEpisodes, Trial, missed_on_policy_frames
from wam.episodes.store import EpisodeStore
from wam.evaluation.pools import borrowed_pool
from wam.pipelines.history import Metrics
from wam.pipelines.pages import (
    ComputeConfig,
    EvaluationConfig,
    FeaturesConfig,
    ImaginationStartsConfig,
    RewardsConfig,
    TaskRow,
)
from wam.pipelines.practice_scenes import imagination_scenes
from wam.policy.diffusion import DiffusionPolicy
from wam.reward.judge import JUDGES, Judge, JudgeKind, judge_of
from wam.rl.config import PPOConfig
from wam.sim.config import SimConfig
from wam.tasks.selection import starts_from_table
from wam.training.checkpoint import Checkpoint
from wam.training.device import resolve_device
from wam.world_model.featurize import featurize_segments
from wam.world_model.model import WorldModel

PROBED_COLUMNS = ["task", "quantity", "is_light", "frames", "missed"]


def probe_world_model(
    world_model: Checkpoint,
    play_features: Arrays,
    training_episodes: EpisodeStore,
    validation_episodes: EpisodeStore,
    config: ProbeConfig,
    tolerances: ToleranceConfig,
    features: FeaturesConfig,
    evaluation: EvaluationConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[Checkpoint, pd.DataFrame, pd.DataFrame, pd.DataFrame, Metrics]:
    """Linear probes of features and of raw proprioception, their scores, and what imagination makes of them.

    Returns probes, their scores, their drift along imagination, what imagined hands move, and final figures.
    """
    model = WorldModel.from_checkpoint(world_model).to(resolve_device(compute.device)).eval()
    training = training_episodes.load(images=False)
    listed = quantities(training.layout_names if training.layout is not None else ())
    judged = judged_frames(model, validation_episodes.load(), config, seed=seed, batch=features.batch)
    known = play_features.lazily()
    probes, scores = fit_and_score(
        known, training, judged, listed, config=config, tolerances=tolerances, seed=seed
    )
    drift = _drift(model, probes, judged, listed, config, evaluation, seed)
    events = measure_events(model, probes, judged, listed, steps=config.event_steps, seed=seed)
    metrics = {"stage": "probes", "task": "all", **probe_metrics(scores)}
    return probes.to_checkpoint(), scores, drift, events, metrics


def _drift(
    model: WorldModel,
    probes: LinearProbes,
    judged: JudgedFrames,
    listed: Sequence[Quantity],
    config: ProbeConfig,
    evaluation: EvaluationConfig,
    seed: int,
) -> pd.DataFrame:
    return measure_drift(
        model,
        probes,
        judged,
        listed,
        sequences=config.sequences,
        steps=config.steps,
        start_repeats=evaluation.start_repeats,
        seed=seed,
    )


def calibrate_policy(
    world_model: Checkpoint,
    cloned_policy: Checkpoint,
    reward_classifier: Checkpoint,
    scene_readout: Checkpoint,
    probes: Checkpoint,
    failure_episodes: Arrays,
    starts: pd.DataFrame,
    task: TaskRow,
    config: CalibrationConfig,
    scenes: ImaginationStartsConfig,
    ppo: PPOConfig,
    evaluation: EvaluationConfig,
    rewards: RewardsConfig,
    simulator: SimConfig,
    compute: ComputeConfig,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Metrics]:
    """The cloned policy from the same starts, imagined and real; judges of success on three kinds of frames.

    Returns episodes, quality of the judges, what probes miss on the policy's own frames, and final figures.
    """
    model = WorldModel.from_checkpoint(world_model).to(resolve_device(compute.device)).eval()
    judges: dict[str, Judge] = {
        kind: judge_of(kind, task.name, classifier=reward_classifier, readout=scene_readout)
        for kind in JUDGES
    }
    found = _judges_on_attempts(model, judges, failure_episodes, task.name, rewards, seed)
    if not _has_starts(starts, task.name):
        figures = {"stage": "diagnostics", "task": task.name}
        return _nothing(ROW_COLUMNS), with_deciding(found, rewards.judge), _nothing(PROBED_COLUMNS), figures
    trials = _trials(model, cloned_policy, starts, task.name, config, scenes, evaluation, simulator, seed)
    with borrowed_pool(simulator, workers=compute.pool_workers) as pool:
        real = {role: one.roll_out(pool, linger_steps=config.linger_steps) for role, one in trials.items()}
    frames, read = real[SELECTION].frames, LinearProbes.from_checkpoint(probes)
    found = pd.concat([found, judge_policy_frames(judges, frames, task.name)], ignore_index=True)
    found = with_deciding(found, rewards.judge)
    rows = _compared(trials, real, judges[rewards.judge], read, ppo, config.imagined_repeats)
    missed = missed_on_policy_frames(read, frames, trials[SELECTION].starts, task.name)
    return rows, found, missed, cell_figures(rows, found, task.name)


def _trials(
    model: WorldModel,
    cloned_policy: Checkpoint,
    starts: pd.DataFrame,
    task: str,
    config: CalibrationConfig,
    scenes: ImaginationStartsConfig,
    evaluation: EvaluationConfig,
    simulator: SimConfig,
    seed: int,
) -> dict[str, Trial]:
    """The policy from the selection starts, and from scenes of practice where the page asks for some."""
    trial = Trial(
        model,
        DiffusionPolicy.from_checkpoint(cloned_policy).to(model.device).eval(),
        starts_from_table(starts, task, "selection"),
        task,
        max_steps=evaluation.max_steps,
        start_repeats=evaluation.start_repeats,
        prev_action=evaluation.prev_action,
        seed=seed,
    )
    if not config.practice_scenes:
        return {SELECTION: trial}
    page = replace(scenes, scenes=min(config.practice_scenes, scenes.scenes))
    return {SELECTION: trial, PRACTICE: replace(trial, starts=imagination_scenes(simulator, page, task))}


def _compared(
    trials: Mapping[str, Trial],
    real: Mapping[str, RealEpisodes],
    judge: Judge,
    read: LinearProbes,
    ppo: PPOConfig,
    repeats: int,
) -> pd.DataFrame:
    """Episodes of each role's starts, imagined and real; starts are numbered through."""
    parts: list[pd.DataFrame] = []
    first = 0
    for role, trial in trials.items():
        imagined = trial.imagine(real[role].first, judge, ppo, repeats=repeats)
        probed = solved_by_probes(read, imagined, trial.starts, trial.task)
        outcome = real[role].outcome
        parts.append(episode_rows(imagined, probed, outcome, trial.task, role=role, first=first))
        first += len(trial.starts)
    return pd.concat(parts, ignore_index=True)


def with_deciding(found: pd.DataFrame, judge: JudgeKind) -> pd.DataFrame:
    """Quality of judges, and in the column ``decides`` which of them imagination asks."""
    return found.assign(decides=found["judge"] == judge)


def _has_starts(starts: pd.DataFrame, task: str) -> bool:
    """As published there are no selection starts, and what is not for selection is never touched here."""
    return bool(((starts["task"] == task) & (starts["role"] == "selection")).any())


def _nothing(columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


def _judges_on_attempts(
    model: WorldModel,
    judges: Mapping[str, Judge],
    failure_episodes: Arrays,
    task: str,
    rewards: RewardsConfig,
    seed: int,
) -> pd.DataFrame:
    """Quality of each judge on held-out attempts at the task, seen and imagined."""
    attempts = read_attempts(
        failure_episodes.lazily(), task=task, role="held_out", convention=model.rotation_convention
    )
    features = featurize_segments(
        model,
        attempts.episodes,
        attempts.table,
        start_repeats=rewards.start_repeats,
        fresh_samples=1,
        long_context=False,
        seed=seed,
    )
    return judge_attempts(model, judges, features, attempts.labels().frames, task, seed=seed)


def cell_figures(rows: pd.DataFrame, found: pd.DataFrame, task: str) -> Metrics:
    """Final figures of a cell; those of the judge that does not decide have its name before them.

    Args:
        rows: Episodes, imagined and real.
        found: Of :func:`with_deciding`.
        task: The task.
    """
    line = calibration_table(rows).iloc[0]
    names = ("real", "imagined", "probed", "gap", "low", "high")
    named = {f"calibration_{name}": float(line[name]) for name in names}
    for _, row in found.iterrows():
        prefix = row["frames_of"] if row["decides"] else f"{row['judge']}_{row['frames_of']}"
        named |= {f"{prefix}_{name}": float(row[name]) for name in ("precision", "recall", "failed_believed")}
    kept = {name: None if np.isnan(value) else value for name, value in named.items()}
    return {"stage": "diagnostics", "task": task, **kept}


def collect_calibration(
    config: CalibrationConfig, seed: int, *rows: pd.DataFrame
) -> tuple[pd.DataFrame, Metrics]:
    """Episodes of all tasks, and whether PPO in this world model's imagination may be trusted."""
    whole = pd.concat([part for part in rows if len(part)] or [_nothing(ROW_COLUMNS)], ignore_index=True)
    summary: Metrics = {"stage": "diagnostics", "task": "all"}
    if len(whole):
        summary |= summarise(calibration_table(whole), max_gap=config.max_gap, seed=seed)
    return whole, summary


def collect_tables(*tables: pd.DataFrame) -> pd.DataFrame:
    """Tables of all tasks."""
    return pd.concat([part for part in tables if len(part)] or [tables[0]], ignore_index=True)
