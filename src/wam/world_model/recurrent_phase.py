"""The second part of a training: the encoder stands still, and everything behind it sees longer windows.

Most of a step is spent on pixels. Once the encoder is good, every frame's embedding is computed once and
kept, and a step costs little over half as much. Its windows may be long, and the prior is asked for all of a
window from the first frame (``overshooting``), which is how imagination uses it::

    first part    pixels -> embed[t] -> z[t]              short windows of many episodes
    second part             embed[t] -> z[t] -> h[t+1]... long windows, the prior alone along each

Not part of the published models (docs/learning/imagination.md).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import EMBED, Batch
from wam.episodes.loaded import Episodes
from wam.training.device import sent
from wam.training.loop import TrainingResult, train
from wam.world_model.captured_step import replayed_on_gpu
from wam.world_model.color_targets import ColorTargets
from wam.world_model.filtering import encode_rows
from wam.world_model.model import WorldModel
from wam.world_model.train import WorldModelObjective, WorldModelValidation
from wam.world_model.training_config import RecurrentPhaseConfig, WorldModelTrainingConfig


class RecurrentPhaseObjective(WorldModelObjective):
    """The loss of a world model on windows whose embeddings are kept; the encoder gets no gradient.

    Args:
        model: After the first part of its training, on its device.
        episodes: With images, of which a share is decoded.
        phase: Windows and weights of this part.
        config: Whatever else the first part was trained with.
        seed: Of windows and noise; the noise is not that of the first part.
        colors: Targets that the first part has found.
    """

    part_name = "recurrent_phase"

    def __init__(
        self,
        model: WorldModel,
        episodes: Episodes,
        phase: RecurrentPhaseConfig,
        config: WorldModelTrainingConfig,
        *,
        seed: int,
        colors: ColorTargets | None = None,
    ) -> None:
        config = replace(
            config,
            batch=phase.batch,
            sequence_steps=phase.sequence_steps,
            decode_fraction=phase.decode_fraction,
        )
        super().__init__(model, episodes, config, seed=seed, colors=colors)
        self._episodes = episodes
        self._overshooting_coef = phase.overshooting_coef
        self._kept: Tensor | None = None

    def _embeds(self) -> Tensor:
        """Embeddings ``(N, E)`` of all frames, on the model's device; found when they are first needed.

        Not a ``cached_property``: Python 3.11 lets one thread at a time into those, and two world models are
        trained side by side.
        """
        if self._kept is None:
            self._kept = encode_rows(self._model, self._episodes, np.arange(self._episodes.num_frames))
        return self._kept

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        embeds = self._embeds()
        return {**super()._batch(rows), EMBED: embeds[sent(torch.from_numpy(rows), embeds.device)]}


def train_recurrent_phase(
    model: WorldModel,
    episodes: Episodes,
    config: WorldModelTrainingConfig,
    *,
    seed: int,
    key: str,
    work_dir: Path,
    after: int,
    stop_after: int | None = None,
    validate: WorldModelValidation | None = None,
    colors: ColorTargets | None = None,
    capture: bool = True,
) -> TrainingResult:
    """Go on with a training by its second part, or go on with that; the encoder stays as it is.

    Args:
        model: After the first part, on its device; it is changed.
        episodes: With images.
        config: With a page ``recurrent_phase``.
        seed: Of windows and noise.
        key: Digest of everything that shapes the training, both parts.
        work_dir: Of this part's checkpoints.
        after: Steps of the first part: curves count on from there.
        stop_after: See ``loop.train``.
        validate: The first part's, so that its curve goes on.
        colors: See ``RecurrentPhaseObjective``.
        capture: See ``captured_step``.

    Raises:
        TrainingError: If the loss of a step is not finite, naming the step.
    """
    phase = config.recurrent_phase
    assert phase is not None, "the page says that there is a second part"
    model.encoder.requires_grad_(requires_grad=False)
    try:
        objective = RecurrentPhaseObjective(model, episodes, phase, config, seed=seed, colors=colors)
        return train(
            replayed_on_gpu(objective, capture=capture),
            steps=phase.steps,
            optimizer=phase.optimizer,
            stop_after=stop_after,
            work_dir=work_dir,
            every=config.intervals,
            description="world model, recurrent phase",
            key=key,
            validate=validate,
            after=after,
        )
    finally:
        model.encoder.requires_grad_(requires_grad=True)
