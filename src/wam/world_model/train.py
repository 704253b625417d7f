"""Training a world model on streams of consecutive windows with carried state."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import Batch, LossOutput
from wam.episodes.loaded import Episodes
from wam.episodes.published_streams import PublishedStreams, Streams
from wam.episodes.sampler import StreamSampler
from wam.seeding import torch_generator
from wam.training.device import resolve_precision, sent
from wam.world_model.color_targets import ColorTargets
from wam.world_model.draws import LossDraws
from wam.world_model.frames import make_frames
from wam.world_model.model import WorldModel
from wam.world_model.part import Part
from wam.world_model.state import RSSMState
from wam.world_model.training_config import WorldModelTrainingConfig


class StepInputs(NamedTuple):
    """What the loss of a step is of, on the model's device.

    Attributes:
        batch: Frames of the windows.
        state: Of each stream before its window.
        draws: All that is random.
        reset: Where the state is dropped although no episode starts, ``(B, T)``; None for nowhere.
    """

    batch: Batch
    state: RSSMState
    draws: LossDraws
    reset: Tensor | None


class WorldModelObjective:
    """The loss of a world model on recorded episodes, for ``wam.training.loop.train``.

    Windows, noise and decoded frames depend on (``seed``, step) only, so two models trained with the same
    seed see the same of each.

    Args:
        model: Already on its device.
        episodes: With images.
        config: Batch sizes and shares.
        seed: Of windows and noise.
        colors: Targets found earlier, where there are some.

    Attributes:
        colors: Those targets, or new ones that are filled as frames come; None where they are not kept.
    """

    part_name = "world_model"
    """Part of a training; what each draws has a stream of its own."""

    def __init__(
        self,
        model: WorldModel,
        episodes: Episodes,
        config: WorldModelTrainingConfig,
        *,
        seed: int,
        colors: ColorTargets | None = None,
    ) -> None:
        self._model = model
        self._frames = make_frames(episodes, model.device)
        self._config = config
        self._precision = resolve_precision(config.precision, model.device)
        self._seed = seed
        self._overshooting_coef: float | None = None  # the model's page says it
        self._sampler = make_sampler(episodes, config, seed)
        self._state = zero_state(model, config.batch)
        self.colors = colors
        if colors is None and model.colors is not None and model.device.type == "cpu":
            # a GPU finds them in no time
            self.colors = ColorTargets(model.colors, episodes.num_frames)

    def modules(self) -> WorldModel:
        """The world model."""
        return self._model

    def loss(self, step: int) -> LossOutput:
        """Loss of a step; the states that the streams carry move on."""
        output, state = self.loss_of(self.inputs(step))
        self.go_on(state)
        return output

    def inputs(self, step: int) -> StepInputs:
        """What the loss of a step is of; the next step's once :meth:`go_on` was told of this one."""
        rows, starts_new = self._sampler.rows(step)
        return self._inputs(step, rows, starts_new, self._state)

    def go_on(self, state: RSSMState) -> None:
        """Take the streams' states after a step."""
        self._state = state

    def _inputs(
        self,
        step: int,
        rows: NDArray[np.int64],
        starts_new: NDArray[np.bool_],
        state: RSSMState,
        part: Part | None = None,
    ) -> StepInputs:
        """The same of the windows in ``rows``: those of a part of the step's batch or of all of it."""
        device = self._model.device
        state = state.masked(sent(torch.from_numpy(~starts_new), device))
        draws = self._model.draw_for_loss(
            (rows.shape[0], rows.shape[1]),
            torch_generator(self._seed, self.part_name, step, device=device),
            decode_fraction=self._config.decode_fraction,
            part=part,
            overshooting_coef=self._overshooting_coef,
        )
        return StepInputs(self._batch(rows), state, draws, self._random_resets(step, part))

    def loss_of(self, inputs: StepInputs, part: Part | None = None) -> tuple[LossOutput, RSSMState]:
        """Loss of a step's inputs, and the states after it: of tensors on the model's device alone."""
        batch, state, draws, reset = inputs
        options = {"reset": reset, "part": part, "overshooting_coef": self._overshooting_coef}
        low = torch.autocast(self._model.device.type, torch.bfloat16, enabled=self._precision == "bf16")
        with low:
            return self._model_loss(batch, state, draws, **options)

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        batch = self._frames.batch(rows)
        return batch if self.colors is None else self.colors.added(batch, rows)

    def _model_loss(self, *arguments: Any, **options: Any) -> tuple[LossOutput, RSSMState]:
        return self._model.drawn_loss(*arguments, **options)

    def _random_resets(self, step: int, part: Part | None) -> Tensor | None:
        if self._config.reset_probability == 0:
            return None
        shape = (self._config.batch, self._config.sequence_steps)
        draw = torch.rand(shape, generator=torch_generator(self._seed, self.part_name, "resets", step))
        draw = draw[part.streams] if part else draw
        return sent(draw < self._config.reset_probability, self._model.device)

    def state_dict(self) -> dict[str, Tensor]:
        """The states that the streams carry."""
        return self._state.tensors

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue with saved carried states."""
        device = self._model.device
        self._state = RSSMState(**{name: value.to(device) for name, value in state.items()})


class WorldModelValidation:
    """Losses on held-out streams, always the same ones: a ``validate`` for the training loop.

    Args:
        model: As trained.
        episodes: Held out, with images.
        config: Batch sizes and number of batches.
        seed: Of windows and noise.
    """

    def __init__(
        self, model: WorldModel, episodes: Episodes, config: WorldModelTrainingConfig, *, seed: int
    ) -> None:
        self._model = model
        self._objective = WorldModelObjective(model, episodes, config, seed=seed)
        self._config = config

    def __call__(self) -> Mapping[str, float]:
        """Mean metrics, named ``validation_...``."""
        self._objective.load_state_dict(zero_state(self._model, self._config.batch).tensors)
        rows = [self._objective.loss(step).metrics for step in range(self._config.validation_batches)]
        return {
            f"validation_{name}": torch.stack([row[name] for row in rows]).mean().item() for name in rows[0]
        }


def make_sampler(episodes: Episodes, config: WorldModelTrainingConfig, seed: int) -> Streams:
    """The streams that a page asks for."""
    if config.streams == "published":
        return PublishedStreams(
            episodes.episode_start,
            episodes.episode_length,
            batch=config.batch,
            sequence_steps=config.sequence_steps,
            seed=seed,
        )
    return StreamSampler(
        episodes.episode_start,
        episodes.episode_length,
        batch=config.batch,
        sequence_steps=config.sequence_steps,
        seed=seed,
    )


def zero_state(model: WorldModel, batch: int) -> RSSMState:
    """The state that every stream starts from."""
    return model.initial_state(batch).detach().masked(torch.zeros(batch, device=model.device))
