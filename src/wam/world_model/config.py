"""Configuration page of the world model: architecture and losses."""

from typing import Final, Literal

from pydantic import Field, model_validator

from wam.contracts import PROPRIO_DIM, config
from wam.nn.mlp import Activation
from wam.world_model.colors import moments_of
from wam.world_model.scene import SCENE_DIM

Positive = Field(gt=0)
LAYER_NORM_EPS: Final = 1e-3
"""Added to the variance in every layer norm; published (docs/published.md, world model)."""


@config
class EncoderConfig:
    """Two convolutional encoders, one per camera, fused to ``32 x cnn_depth`` values.

    Attributes:
        cnn_depth: Channels of the first convolution; published 48 (embed 1536 + 18).
        measures_colors: Append the colour moments of both images (``wam.world_model.colors``) to the
            embedding, before proprioception: measured, not learned. Published without.
    """

    cnn_depth: int = Positive
    measures_colors: bool = False


@config
class RSSMConfig:
    """Recurrent state-space model.

    Attributes:
        deter: Width D of the deterministic state; published 1024.
        stoch_dim: Number of categoricals; published 32.
        stoch_classes: Classes of each categorical; published 32.
        hidden: Width of the layers around the state; published 1000.
        posterior_init_scale: Factor on the initial weights of the posterior's last layer; published 1. Above
            1 the first codes are less random, and the decoder has something to read sooner.
        carries_arm: Carry normalised proprioception beside h and z: measured on real frames, moved on by the
            actions in imagination (``wam.world_model.arm``), part of the features; published without.
        carries_outset: Carry the colour moments of the first frame since the state was dropped, unchanged on
            real frames and in imagination, part of the features: what never moves in an episode need not be
            remembered. Wants ``encoder.measures_colors``; published without.
        carries_scene: Carry joints and lights (``wam.world_model.scene``): read off real frames, moved on by
            the hand in imagination, part of the features. Learned from recorded scenes. Wants ``carries_arm``
            and ``carries_outset``; published without.
        prior_sees_carried: Show the prior what is carried besides h, and the colours that a frame of such a
            scene would have: in imagination z then says what the carried scene says, and does not wander off.
            Wants ``carries_scene``; published without.
        scene_hidden: Widths of the layers that read and move it; ``painter_hidden`` of those that paint it.
    """

    deter: int = Positive
    stoch_dim: int = Positive
    stoch_classes: int = Field(gt=1)
    hidden: int = Positive
    posterior_init_scale: float = Field(default=1.0, gt=0)
    carries_arm: bool = False
    carries_outset: bool = False
    carries_scene: bool = False
    prior_sees_carried: bool = False
    scene_hidden: tuple[int, ...] = (128, 128)
    painter_hidden: tuple[int, ...] = (256, 256)

    @property
    def stoch(self) -> int:
        """Flat width S of the stochastic state."""
        return self.stoch_dim * self.stoch_classes


@config
class DecoderConfig:
    """Two image decoders behind one shared linear layer, and optional decoders of proprioception and colours.

    Attributes:
        cnn_depth: Channels before the last transposed convolution; published 48.
        proprio_hidden: Hidden widths of the proprioception decoder, used when ``losses.proprio_coef``
            is above 0.
        color_hidden: Hidden widths of the decoder of colour moments, used when ``losses.color_coef``
            is above 0.
        corrects_painted_colors: Decode colour moments as what is to be added to those painted from the
            carried scene, instead of as a whole. Wants ``rssm.carries_scene``; published without either.
        colors: Size of each camera's palette, used when ``losses.color_coef`` is above 0, and where
            ``encoder.measures_colors``.
        feat_init_scale: Factor on the initial weights of the layer that reads the features; published 1.
            One-hot codes are small numbers to Xavier weights: the images begin almost without them.
    """

    cnn_depth: int = Positive
    proprio_hidden: tuple[int, ...] = ()
    color_hidden: tuple[int, ...] = ()
    corrects_painted_colors: bool = False
    colors: int = Field(default=24, gt=1, le=256)
    feat_init_scale: float = Field(default=1.0, gt=0)


@config
class InverseDynamicsConfig:
    """The head that predicts ``action[t]`` from ``embed[t]`` and ``embed[t + 1]``.

    Attributes:
        hidden: Hidden widths. The paper says "three-layer MLP" and no widths; two hidden layers are
            three linear ones, none is a single one.
        input: ``embed`` as published, ``image``: what is learned of the images, or ``features``: f of both
            frames, after the recurrent part. The appended proprioception solves the task without a pixel
            (docs/published.md, first trial), and f of the second frame has read the action itself.
        error: ``l1`` as published, or ``l2``: half the squared error. Both over the seven action components.
        reduction: Of that error over the components. ``mean`` is the likelier reading of the paper
            (docs/published.md, world model), ``sum`` weighs seven times as much.
        activation: Between the layers. The paper names none; ``elu`` is that of every other part.
        dropout: Share of the hidden values that a training step leaves out. The paper names none; a later
            branch of the public code has 0.1.
    """

    hidden: tuple[int, ...]
    input: Literal["embed", "image", "features"] = "embed"
    error: Literal["l1", "l2"] = "l1"
    reduction: Literal["mean", "sum"] = "mean"
    activation: Activation = "elu"
    dropout: float = Field(default=0.0, ge=0, lt=1)


@config
class LossConfig:
    """Weights of the losses.

    Attributes:
        kl_coef: Of the balanced KL; DiWA 0.3, WAM 3.0.
        kl_balance: Share of the KL that trains the prior; published 0.8.
        image_coef: Of half the squared error summed over both images; published 1.
        action_coef: Of the inverse-dynamics error; WAM 1000. 0 leaves the head out: that is DiWA.
        proprio_coef: Of half the squared error of decoded, normalised proprioception; published 0,
            which leaves that decoder out.
        color_coef: Of half the squared error of colour moments (``wam.world_model.colors``) decoded from the
            features; published 0, which leaves that decoder out.
        overshooting_coef: Of the KL of a prior that has seen the first frame of a window only
            (``wam.world_model.overshooting``); published 0.
    """

    kl_coef: float = Field(ge=0)
    kl_balance: float = Field(default=0.8, ge=0, le=1)
    image_coef: float = Field(default=1.0, ge=0)
    action_coef: float = Field(ge=0)
    proprio_coef: float = Field(default=0.0, ge=0)
    color_coef: float = Field(default=0.0, ge=0)
    overshooting_coef: float = Field(default=0.0, ge=0)


@config
class WorldModelConfig:
    """Architecture and losses of one world model."""

    encoder: EncoderConfig
    rssm: RSSMConfig
    decoder: DecoderConfig
    inverse_dynamics: InverseDynamicsConfig
    losses: LossConfig

    @model_validator(mode="after")
    def _what_is_carried_is_measured(self) -> "WorldModelConfig":
        if self.rssm.carries_outset and not self.encoder.measures_colors:
            raise ValueError(
                "world_model.rssm.carries_outset is true and world_model.encoder.measures_colors is false: "
                "the state cannot carry what no frame has; set both to true, or the first to false"
            )
        if self.rssm.carries_scene and not (self.rssm.carries_arm and self.rssm.carries_outset):
            raise ValueError(
                "world_model.rssm.carries_scene is true, carries_arm or carries_outset false: a scene "
                "is moved by a hand, at a place that the first frame shows; set all three to true, or the "
                "first to false"
            )
        wants = {
            "rssm.prior_sees_carried": self.rssm.prior_sees_carried,
            "decoder.corrects_painted_colors": self.decoder.corrects_painted_colors,
        }
        wanting = [name for name, wanted in wants.items() if wanted and not self.rssm.carries_scene]
        if wanting:
            raise ValueError(
                f"world_model.rssm.carries_scene is false, {' and '.join(wanting)} true: colours are painted "
                f"from the scene; set the first to true, or {' and '.join(wanting)} to false"
            )
        return self

    @property
    def outset_dim(self) -> int:
        """Width O of the colour moments that the state carries; 0 where it carries none."""
        return moments_of(self.decoder.colors) if self.rssm.carries_outset else 0

    @property
    def feat(self) -> int:
        """Width F of the features: D + S, published 2048, and whatever else the state carries."""
        return sum(self.feat_parts)

    @property
    def feat_parts(self) -> tuple[int, ...]:
        """Widths of what features are made of, in their order: h, z, and whatever else the state carries."""
        size = self.rssm
        carried = (self.outset_dim, self.scene_dim, PROPRIO_DIM if size.carries_arm else 0)
        return (size.deter, size.stoch, *(width for width in carried if width))

    @property
    def scene_dim(self) -> int:
        """Width Q of the scene that the state carries; 0 where it carries none."""
        return SCENE_DIM if self.rssm.carries_scene else 0

    @property
    def scene_at(self) -> int | None:
        """Where the carried scene begins in the features; None where none is carried."""
        size = self.rssm
        return size.deter + size.stoch + self.outset_dim if size.carries_scene else None
