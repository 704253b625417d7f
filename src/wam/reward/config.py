"""Configuration pages of the judges of success and of their training."""

from pydantic import Field, model_validator

from wam.contracts import config
from wam.training.config import OptimizerConfig, check_length


@config
class ClassifierConfig:
    """The contrastive classifier; published sizes 1024, 256, 1024 (docs/published.md, rewards)."""

    encoder_hidden: int = Field(gt=0)
    """Width of the encoder's hidden layer."""
    embed_dim: int = Field(gt=0)
    """Width of the embedding that the contrastive term compares."""
    head_hidden: int = Field(gt=0)
    """Width of the hidden layer from the embedding to the two logits."""
    temperature: float = Field(default=0.5, gt=0)
    """tau of the contrastive term."""
    cross_entropy_coef: float = Field(default=0.5, ge=0)
    """Weight of the cross-entropy beside the contrastive term."""
    contrastive_coef: float = Field(default=1.0, ge=0)
    """Weight of the contrastive term; 0 leaves a plain classifier."""
    threshold: float | None = Field(default=None, gt=0, lt=1)
    """Probability from which a frame counts as success; None takes the larger logit (published)."""
    sees_start: bool
    """Put the feature of the episode's first frame beside the one that is judged; False published. Success of
    drawer, door and switch is a change since the start, which one feature need not show."""
    standardize: bool
    """Standardise the input by the training set's mean and deviation; False published."""
    standardize_floor: float = Field(default=0.1, gt=0)
    """Smallest deviation that is divided by."""
    parts_alike: bool = False
    """Of standardised features, let each part count as much as another, however wide: h, z, and whatever else
    the state carries. False published: the widest part is nearly all that is seen."""

    @model_validator(mode="after")
    def _parts_are_of_standardised_inputs(self) -> "ClassifierConfig":
        if self.parts_alike and not self.standardize:
            raise ValueError(
                "classifier.parts_alike is true and classifier.standardize false: parts of inputs that are "
                "not standardised have no common scale; set both to true, or the first to false"
            )
        return self


@config
class ReadoutConfig:
    """The network that reads the scene off features; nothing of it is published."""

    hidden: tuple[int, ...] = Field(min_length=1)
    """Widths of its hidden layers."""
    length_unit: float = Field(gt=0)
    """Metres of error that weigh as much as an undecided light; the unit of openings inside."""
    standardize_floor: float = Field(default=0.05, gt=0)
    """Smallest deviation of an input that is divided by."""
    slack: float = Field(default=0.0, ge=0)
    """Metres by which a change of a joint that is read may fall short of the oracle's: readings of what a
    network is unsure of are drawn towards the middle, and strokes end soon after they suffice."""


@config
class ReadoutTrainingConfig:
    """Training of one readout, for all tasks."""

    optimizer: OptimizerConfig
    """Nothing is published."""
    steps: int = Field(gt=0)
    """Gradient steps."""
    batch: int = Field(gt=0)
    """Frames of play per gradient step."""
    max_frames: int = Field(gt=0)
    """Frames of play, evenly spread, that are read from disk at most: their features are kept in memory."""
    hold_back: int = Field(gt=1)
    """Of so many episodes one is left out of training, to judge the readout by."""


@config
class RewardTrainingConfig:
    """Training of one classifier."""

    optimizer: OptimizerConfig
    """Published: Adam, 1e-6, constant (very under-trained by design, docs/published.md, rewards)."""
    batch: int = Field(gt=1)
    """Frames per gradient step; 32 published."""
    steps: int | None = Field(default=None, gt=0)
    """Gradient steps; give this or ``epochs``."""
    epochs: int | None = Field(default=None, gt=0)
    """Passes over the set; 100 published."""
    balanced: bool
    """Half of every batch from each class; False draws shuffled passes (published)."""

    @model_validator(mode="after")
    def _one_length(self) -> "RewardTrainingConfig":
        check_length(self.steps, self.epochs)
        return self
