"""Configuration page of a world model's training, and of its parts."""

from typing import Literal

from pydantic import Field

from wam.contracts import config
from wam.training.config import Intervals, OptimizerConfig
from wam.training.device import Precision
from wam.world_model.config import Positive, WorldModelConfig


@config
class RecurrentPhaseConfig:
    """The second part of a training, with the encoder as it is (``wam.world_model.recurrent_phase``).

    Attributes:
        steps: Optimisation steps of this part.
        batch: Streams B per step.
        sequence_steps: Frames T per stream and step.
        decode_fraction: Share of the B x T frames that are decoded for the image loss.
        overshooting_coef: In place of ``losses.overshooting_coef``.
        optimizer: Its page.
    """

    steps: int = Positive
    batch: int = Positive
    sequence_steps: int = Field(gt=1)
    decode_fraction: float = Field(default=1.0, gt=0, le=1)
    overshooting_coef: float = Field(default=0.0, ge=0)
    optimizer: OptimizerConfig


@config
class SceneTrainingConfig:
    """How a carried scene is learned, before the first step (``wam.world_model.scene_training``).

    Attributes:
        steps: Optimisation steps.
        batch: Pairs of neighbouring frames per step.
        most_age: Frames by which the outset is older than them at most; as imagination goes on.
        overshoot: Metres by which a hand that presses a button or switch is shown too far, at most:
            nothing stops an imagined one. 0 shows hands as they were recorded.
        optimizer: Its page.
    """

    steps: int = Positive
    batch: int = Positive
    most_age: int = Field(ge=0)
    overshoot: float = Field(default=0.0, ge=0)
    optimizer: OptimizerConfig


@config
class WorldModelTrainingConfig:
    """How a world model is trained.

    Attributes:
        steps: Optimisation steps.
        batch: Streams B per step.
        sequence_steps: Frames T per stream and step.
        decode_fraction: Share of the B x T frames that are decoded for the image loss, drawn at random
            for each step; the loss is their mean, so it is unbiased. 1 is the published form, a third
            gives several times as many steps per second (docs/published.md, first trial).
        precision: ``fp32``, or ``bf16`` for convolutions, products with matrices and their gradients;
            weights, recurrent states, the time loop's norms and losses stay in fp32. ``auto`` is bf16 on GPUs
            and CPUs with instructions for it, and fp32 elsewhere: others are many times slower with bf16.
        reset_probability: Chance per frame that the state is dropped although the episode goes on;
            published 0.01, not needed when streams reset at true starts.
        streams: How the data is read. ``episodes`` tiles each episode, so that states are dropped exactly
            where one ends. ``published`` cuts the list of all windows into one stretch a stream and carries
            the state over the ends of episodes; each episode's last frame is never used (docs/published.md,
            faults B2 and B3).
        validation_batches: Batches of held-out streams behind each validation point; 0 switches it off.
        validate_every: Steps between validation points.
        optimizer: Its page.
        log_every: Steps averaged into one point of the curves.
        checkpoint_every: Steps between resumable checkpoints.
        recurrent_phase: A second part after ``steps``, in one process whatever the number of devices; absent
            as published.
        scene: Of the scene, where ``world_model.rssm.carries_scene``; no effect elsewhere.
    """

    steps: int = Positive
    batch: int = Positive
    sequence_steps: int = Field(gt=1)
    decode_fraction: float = Field(default=1.0, gt=0, le=1)
    precision: Precision = "fp32"
    reset_probability: float = Field(default=0.0, ge=0, lt=1)
    streams: Literal["episodes", "published"] = "episodes"
    validation_batches: int = Field(default=0, ge=0)
    validate_every: int = Field(default=500, gt=0)
    optimizer: OptimizerConfig
    log_every: int = Field(default=50, gt=0)
    checkpoint_every: int = Field(default=500, gt=0)
    recurrent_phase: RecurrentPhaseConfig | None = None
    scene: SceneTrainingConfig | None = None

    @property
    def intervals(self) -> Intervals:
        """For the training loop."""
        return Intervals(self.log_every, self.checkpoint_every, self.validate_every)


def check_scene(model: WorldModelConfig, training: WorldModelTrainingConfig) -> None:
    """What neither page can check alone.

    Raises:
        ValueError: If the model carries a scene and nothing says how it is learned.
    """
    if model.rssm.carries_scene and training.scene is None:
        raise ValueError(
            "world_model.rssm.carries_scene is true and world_model_training.scene is absent: say there how "
            "the scene is learned, or set the first to false"
        )
