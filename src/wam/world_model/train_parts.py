"""Training a world model on batches that are taken in parts: one after another, one a device, or both.

::

    streams     [ 0 .. B/4 ) [ B/4 .. B/2 ) [ B/2 .. 3B/4 ) [ 3B/4 .. B )
    rank             0             0               1              1         2 devices x 2 parts each

Windows, noise, random resets and decoded frames of a step are drawn for the whole batch in every process,
each then takes its own: they depend on seed and step only, so any number of devices and parts trains on the
same, up to the order in which numbers are added.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wam.contracts import LossOutput
from wam.episodes.archive import load_episodes
from wam.episodes.loaded import Episodes
from wam.episodes.statistics import ProprioStatistics
from wam.training.device import Device, resolve_device, resolve_precision
from wam.training.launch import run_team
from wam.training.loop import TrainingResult, steps_taken, train
from wam.training.resume import has_state, load_state
from wam.training.team import ALONE, Team
from wam.world_model.captured_step import replayed_on_gpu
from wam.world_model.color_targets import ColorTargets
from wam.world_model.config import WorldModelConfig
from wam.world_model.model import WorldModel
from wam.world_model.part import Part, split_streams
from wam.world_model.recurrent_phase import train_recurrent_phase
from wam.world_model.scene_training import fit_scene_
from wam.world_model.state import RSSMState, joined
from wam.world_model.train import WorldModelObjective, WorldModelValidation
from wam.world_model.training_config import WorldModelTrainingConfig, check_scene


class WorldModelPartsObjective(WorldModelObjective):
    """The loss of a world model whose batch is shared by a team, each process's share cut into parts.

    Args:
        model: Already on its device.
        episodes: With images.
        config: Batch sizes of the whole batch.
        seed: Of windows and noise.
        team: Among whom the batch is shared.
        parts: That each process takes one after another, to need less memory.
        colors: See ``WorldModelObjective``.
    """

    def __init__(
        self,
        model: WorldModel,
        episodes: Episodes,
        config: WorldModelTrainingConfig,
        *,
        seed: int,
        team: Team = ALONE,
        parts: int = 1,
        colors: ColorTargets | None = None,
    ) -> None:
        super().__init__(model, episodes, config, seed=seed, colors=colors)
        self._is_first = episodes.is_first
        self._team = team
        self._parts = split_streams(config.batch, team.size * parts)[team.rank * parts :][:parts]
        self._own = slice(self._parts[0].start, self._parts[-1].stop)
        self._state = self._state.rows(self._own)
        self._forward = _Forward(model)
        self._shared: DistributedDataParallel | None = None
        if team.size > 1:  # the two initial states never get a gradient: they stay as published, at zero
            self._shared = DistributedDataParallel(self._forward, find_unused_parameters=True)

    def accumulate(self, step: int) -> LossOutput:
        """See ``loop.OwnGradient``."""
        rows, starts_new = self._sampler.rows(step)
        is_first = self._is_first[rows]
        states, outputs = [], []
        for streams in self._parts:
            state = self._state.rows(slice(streams.start - self._own.start, streams.stop - self._own.start))
            with self._gradients_meet(last=streams is self._parts[-1]):
                part = Part.of(is_first, streams)
                inputs = self._inputs(step, rows[streams], starts_new[streams], state, part)
                output, state = self.loss_of(inputs, part)
                (output.loss * self._team.size).backward()  # type: ignore[no-untyped-call]
            states.append(state)
            outputs.append(output)
        self._state = joined(states)
        metrics = {name: self._total([o.metrics[name] for o in outputs]) for name in outputs[0].metrics}
        return LossOutput(self._total([o.loss.detach() for o in outputs]), metrics)

    def _total(self, values: list[Tensor]) -> Tensor:
        """Sum over the parts; the mean over the team of what this gives is the sum over all parts."""
        return torch.stack(values).sum() * self._team.size

    def _gradients_meet(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are exchanged once a step, while the last part's are computed."""
        if self._shared is None or last:
            return contextlib.nullcontext()
        return cast(contextlib.AbstractContextManager[Any], self._shared.no_sync())

    def _model_loss(self, *arguments: Any, **options: Any) -> tuple[LossOutput, RSSMState]:
        call = self._shared or self._forward
        output: tuple[LossOutput, RSSMState] = call(*arguments, **options)
        return output

    def state_dict(self) -> dict[str, Tensor]:
        """The states of all streams, of the whole team."""
        own, count = super().state_dict(), self._config.batch
        return {name: self._team.gather_rows(x, self._own, count) for name, x in own.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue with saved carried states of all streams."""
        super().load_state_dict({name: x[self._own] for name, x in state.items()})


class _Forward(nn.Module):
    """The loss as a forward pass, which is where DistributedDataParallel listens."""

    def __init__(self, model: WorldModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: Any, **options: Any) -> tuple[LossOutput, RSSMState]:
        return self.model.drawn_loss(*arguments, **options)


@dataclass(frozen=True)
class WorldModelTask:
    """All that a process needs to train its share of a world model.

    Attributes:
        model: Architecture and losses.
        training: How it is trained.
        statistics: Of proprioception.
        training_episodes: Path of a packed store, or of an archive of one.
        validation_episodes: Likewise, read if validation is on; without them there is none.
        seed: Of weights, windows and noise.
        parts: See ``WorldModelPartsObjective``.
        stop_after: See ``loop.train``.
        work_dir: Of the checkpoints.
        capture: See ``captured_step``; only where one GPU trains whole batches.
    """

    model: WorldModelConfig
    training: WorldModelTrainingConfig
    statistics: ProprioStatistics
    training_episodes: Path
    validation_episodes: Path | None
    seed: int
    parts: int
    stop_after: int | None
    work_dir: Path
    capture: bool = True


def resume_key(task: WorldModelTask, device: torch.device) -> str:
    """What half-done work must have been made with to be gone on with: the task, and its precision here."""
    return f"{task.work_dir.name}-{resolve_precision(task.training.precision, device)}"


def train_world_model_on(
    task: WorldModelTask, devices: int, device: Device
) -> tuple[WorldModel, TrainingResult]:
    """Train a world model, or go on training it, on one device or on several of this machine.

    A checkpoint may be gone on from with any number of devices and parts, in the precision it was made with.

    Args:
        task: What is trained.
        devices: 1 trains in this process.
        device: Of what kind.

    Raises:
        LostRankError: If one of several processes failed or died; all others are ended then.
        TrainingError: If the loss of a step is not finite, naming the step.
        ValueError: If there are fewer GPUs than devices, fewer streams than parts, or nothing says
            how a scene that is to be carried is learned.
    """
    split_streams(task.training.batch, devices * task.parts)
    check_scene(task.model, task.training)
    if devices == 1:
        model, result, colors = _train(task, ALONE, resolve_device(device))
    else:
        run_team(_train_share, task, devices=devices, device=device)
        state = load_state(task.work_dir, resume_key(task, resolve_device(device)))
        assert state is not None, "the first process leaves a checkpoint of the last step"
        model = WorldModel(task.model, task.statistics, seed=task.seed)
        model.load_state_dict(state.tensors["model"])
        model = model.to(resolve_device(device)).eval()
        result, colors = TrainingResult(state.history, None), None
    if task.training.recurrent_phase is None:
        return model, result
    second = _train_second_part(task, model, colors)
    return model, TrainingResult(result.history + second.history, None)


def _train_second_part(
    task: WorldModelTask, model: WorldModel, colors: ColorTargets | None
) -> TrainingResult:
    """In this process, whatever trained the first part."""
    training = task.training
    return train_recurrent_phase(
        model,
        load_episodes(task.training_episodes),
        training,
        seed=task.seed,
        key=resume_key(task, model.device),
        work_dir=task.work_dir / "recurrent_phase",
        after=steps_taken(training.steps, task.stop_after),
        stop_after=task.stop_after,
        validate=_validation(task, model),
        colors=colors,
        capture=task.capture,
    )


def _validation(task: WorldModelTask, model: WorldModel) -> WorldModelValidation | None:
    if not task.training.validation_batches or task.validation_episodes is None:
        return None
    held_out = load_episodes(task.validation_episodes)
    return WorldModelValidation(model, held_out, task.training, seed=task.seed)


def _train_share(task: WorldModelTask, team: Team, device: torch.device) -> None:
    """What each process of a team does."""
    _train(task, team, device)


def _train(
    task: WorldModelTask, team: Team, device: torch.device
) -> tuple[WorldModel, TrainingResult, ColorTargets | None]:
    """The first part; the last of what it returns are the colour targets that it has found."""
    training = task.training
    model = WorldModel(task.model, task.statistics, seed=task.seed).to(device)
    objective = _objective(task, model, team)
    result = train(
        replayed_on_gpu(objective, capture=task.capture and team.size == task.parts == 1),
        steps=training.steps,
        optimizer=training.optimizer,
        stop_after=task.stop_after,
        work_dir=task.work_dir,
        every=training.intervals,
        description="world model",
        key=resume_key(task, device),
        validate=_validation(task, model) if team.leads else None,
        team=team,
    )
    return model, result, objective.colors


def _measured(task: WorldModelTask, model: WorldModel, episodes: Episodes, team: Team) -> ColorTargets | None:
    """Find, before the first step, what a model measures and carries; returns the colours it found.

    A training that goes on has it in its checkpoint, which is loaded after this. Every process of a team
    finds the same.
    """
    if model.colors is not None:
        model.colors.fit_(episodes.image_static, episodes.image_gripper)
    model.fit_arm_(episodes.proprio, episodes.action, episodes.is_first)
    begun = has_state(task.work_dir, resume_key(task, model.device))
    if begun or not model.config.rssm.carries_scene:
        return None
    page = task.training.scene
    assert page is not None, "check_scene has refused such pages"
    assert model.colors is not None, "a model that carries the scene measures colours"
    colors = ColorTargets(model.colors, episodes.num_frames)
    found = colors.all_of(episodes)
    fit_scene_(model, episodes, found, page, seed=task.seed, stop_after=task.stop_after, team=team)
    return colors if model.device.type == "cpu" else None


def _objective(task: WorldModelTask, model: WorldModel, team: Team) -> WorldModelObjective:
    episodes = load_episodes(task.training_episodes)
    colors = _measured(task, model, episodes, team)
    if team.size == task.parts == 1:
        return WorldModelObjective(model, episodes, task.training, seed=task.seed, colors=colors)
    return WorldModelPartsObjective(
        model, episodes, task.training, seed=task.seed, team=team, parts=task.parts, colors=colors
    )
