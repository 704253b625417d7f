"""Configuration pages of the diffusion policy and of behavior cloning."""

from typing import Final, Literal

from pydantic import Field, model_validator

from wam.contracts import ACTION_DIM, config
from wam.training.config import OptimizerConfig, check_length

PUBLISHED_WARMUP_EPOCHS: Final = 100
"""Epochs of linear growth in the public code (docs/published.md, fault B12)."""
PUBLISHED_CYCLE_EPOCHS: Final = 10_000
"""Epochs of the first cosine cycle; runs of 5,000 end half way, at 5.6e-5."""
PUBLISHED_EMA_EVERY_EPOCHS: Final = 10
"""Epochs between updates of the averaged weights."""
PUBLISHED_EMA_START_EPOCH: Final = 20
"""Epoch from which weights are averaged; until then the average is a copy."""

Sees = Literal[
    "features", "features_and_proprio", "colors_and_proprio", "painted_and_proprio", "scene_and_proprio"
]
"""What a policy is shown of a state; ``wam.sight.conditions`` makes it."""

Prediction = Literal["noise", "clean"]
"""What the denoiser says of a noisy chunk: the unit noise in it, or the clean chunk."""


@config
class DiffusionConfig:
    """The denoising policy. Defaults are published (docs/published.md, cloning)."""

    hidden: int = Field(gt=0)
    """Width of the trunk; 512 published."""
    sees: Sees = "features"
    """What it is conditioned on: the world model's features, as published; features and the arm's normalised
    proprioception, which is measured on real frames and carried or decoded in imagination; or that
    proprioception and, in place of the features, the colour moments that are decoded from them, those painted
    from the scene that the state carries, or that scene and the places where hands move things."""
    predicts: Prediction = "noise"
    """What the network says of a noisy chunk: the ``noise`` in it, as published, or the ``clean`` chunk. Of a
    perfect network both are the same; after a short training the noise, divided by what little signal there
    is at the first denoising steps, gives chunks that are far off (docs/learning/cloning.md)."""
    denoising_steps: int = Field(default=20, ge=2)
    """K, number of denoising steps."""
    horizon_steps: int = Field(default=4, gt=0)
    """Actions in a predicted chunk."""
    act_steps: int = Field(default=4, gt=0)
    """Actions of a chunk that are executed before the next decision."""
    action_dim: int = Field(default=ACTION_DIM, gt=0)
    """A, width of an action."""
    time_dim: int = Field(default=16, ge=4, multiple_of=2)
    """Width of the embedding of the denoising step; even, because it is sines beside cosines."""
    residual_blocks: int = Field(default=1, ge=1)
    """Two-layer residual blocks in the trunk."""
    min_sampling_std: float = Field(default=0.1, gt=0)
    """Floor of the noise's standard deviation at every step in training mode (action units): exploration."""
    final_sampling_std: float | None = Field(default=None, gt=0)
    """Floor at the last denoising step in training mode; None uses ``min_sampling_std`` (published)."""
    deterministic_std: float = Field(default=1e-3, ge=0)
    """Floor at every step but the last in deterministic mode; the last step then adds no noise."""
    noise_clip: float = Field(default=3.0, gt=0)
    """Injected unit noise is clipped to plus and minus this; 3 published for fine-tuning and evaluation."""
    standardize_condition: bool
    """Standardise the condition by the demonstrations' mean and deviation; False published."""
    standardize_floor: float = Field(default=0.1, gt=0)
    """Smallest deviation that is divided by (features are one-hot or in [-1, 1])."""
    parts_alike: bool = False
    """Of a standardised condition, let each part count as much as another, however wide: of features h, z and
    whatever else the state carries, then colours or scene, then the arm. False published."""

    @property
    def sees_arm(self) -> bool:
        """Whether real frames are shown with the arm as it is measured."""
        return self.sees != "features"

    @model_validator(mode="after")
    def _settings_fit(self) -> "DiffusionConfig":
        if self.act_steps > self.horizon_steps:
            raise ValueError(
                f"act_steps {self.act_steps} is more than horizon_steps {self.horizon_steps}: "
                "lower act_steps or predict longer chunks"
            )
        if self.parts_alike and not self.standardize_condition:
            raise ValueError(
                "policy.parts_alike is true and policy.standardize_condition false: parts of conditions that "
                "are not standardised have no common scale; set both to true, or the first to false"
            )
        return self


@config
class CloningConfig:
    """Behavior cloning on expert chunks."""

    optimizer: OptimizerConfig
    """Published: AdamW, 1e-4, weight decay 1e-6, cosine to 5.6e-5 over 5,000 epochs."""
    demonstrations: int | None = Field(default=None, gt=0)
    """Demonstrations of each task that are cloned, drawn with the run's seed; None takes all, as published.
    Few make a deliberately weak policy. Reward classifiers always learn from all."""
    batch: int = Field(gt=0)
    """Windows per gradient step; 256 published."""
    steps: int | None = Field(default=None, gt=0)
    """Gradient steps; give this or ``epochs``."""
    epochs: int | None = Field(default=None, gt=0)
    """Passes over all windows, the last batch of a pass being smaller; 5,000 published."""
    ema_decay: float | None = Field(default=0.995, gt=0, lt=1)
    """Decay of the averaged weights; None turns averaging off."""
    ema_every_steps: int = Field(default=1, gt=0)
    """Gradient steps between updates of the average; every 10 epochs published (fault B12)."""
    ema_start_step: int = Field(default=0, ge=0)
    """Until this step the average is a copy of the weights; epoch 20 published."""
    cadence: Literal["step", "published"] = "step"
    """When step size and average move: at every gradient step, as ``optimizer``, ``ema_every_steps`` and
    ``ema_start_step`` say, or "published" (fault B12): by epochs, the step size along the first half of a
    cosine of 10,000 epochs after 100 of growth from ``final_learning_rate``, the average every 10 epochs from
    epoch 20. Of the pages named it then uses the two rates alone, and it needs ``epochs``."""
    pad_segment_end: bool = False
    """Also use windows that run over a segment's end, repeating its last action; off as published."""

    @model_validator(mode="after")
    def _one_length(self) -> "CloningConfig":
        check_length(self.steps, self.epochs)
        if self.cadence == "published" and not 0 < (self.epochs or 0) <= PUBLISHED_CYCLE_EPOCHS:
            raise ValueError(
                f"cadence published needs epochs between 1 and the {PUBLISHED_CYCLE_EPOCHS} of its cycle, "
                f"got epochs={self.epochs}; set epochs, or cadence to step"
            )
        return self
