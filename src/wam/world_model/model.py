"""The world model: encoder, recurrent state-space model, decoders, and the inverse-dynamics head."""

from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wam.contracts import (
    EMBED,
    IMAGE_GRIPPER,
    IMAGE_STATIC,
    IS_FIRST,
    PREV_ACTION,
    PROPRIO,
    PROPRIO_DIM,
    Batch,
    LossOutput,
    config_from_dict,
    config_to_dict,
)
from wam.episodes.rotation import RotationConvention
from wam.episodes.statistics import ProprioStatistics
from wam.nn.distributions import gumbel_noise
from wam.nn.init import build_empty, initialise_
from wam.nn.normalizer import MinMaxNormalizer
from wam.training.checkpoint import Checkpoint
from wam.world_model.color_targets import color_targets, with_color_targets
from wam.world_model.colors import Colors, moments_of
from wam.world_model.config import WorldModelConfig
from wam.world_model.decoder import Decoder
from wam.world_model.draws import LossDraws, draw_for_loss
from wam.world_model.encoder import Encoder
from wam.world_model.loss_terms import loss_coefs, loss_terms
from wam.world_model.losses import weighted_sum
from wam.world_model.overshooting import overshooting_loss
from wam.world_model.part import Part
from wam.world_model.readers import color_decoder_of, inverse_dynamics_of, proprio_decoder_of
from wam.world_model.rssm import RSSM, Observed
from wam.world_model.state import RSSMState

KIND = "world_model"


class WorldModel(nn.Module):
    """DreamerV2 for two cameras and proprioception; with ``action_coef`` above 0 it is WAM, at 0 DiWA.

    Args:
        config: Architecture and losses.
        statistics: Range of each component of proprioception, and how rotations in it are read; absent leaves
            it as it is.
        seed: Of the initial weights, which depend on the seed and their own names only.
    """

    def __init__(
        self, config: WorldModelConfig, statistics: ProprioStatistics | None = None, *, seed: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        self.feat_dim = config.feat
        measured = moments_of(config.decoder.colors) if config.encoder.measures_colors else 0
        self.encoder = cast(Encoder, build_empty(lambda: Encoder(config.encoder, measured)))
        self.embed_dim = self.encoder.embed_dim
        self.rssm = cast(RSSM, build_empty(lambda: RSSM(config.rssm, self.embed_dim, config.outset_dim)))
        self.decoder = cast(Decoder, build_empty(lambda: Decoder(config.decoder, self.feat_dim)))
        self.inverse_dynamics = inverse_dynamics_of(config, self.encoder)
        self.proprio_decoder = proprio_decoder_of(config)
        self.color_decoder = color_decoder_of(config)
        known = self.color_decoder is not None or config.encoder.measures_colors
        self.colors = Colors(config.decoder.colors) if known else None
        initialise_(self, seed)
        self._begin_parts()
        if self.rssm.scene_track is not None:
            self.rssm.scene_track.requires_grad_(requires_grad=False)  # learned before the first step
        self.proprio_normalizer = MinMaxNormalizer(PROPRIO_DIM)
        self.rotation_convention: RotationConvention = "extrinsic"
        if statistics is not None:
            self.rotation_convention = statistics.convention
            self.proprio_normalizer.set_bounds_(statistics.minimum, statistics.maximum)

    @torch.no_grad()
    def _begin_parts(self) -> None:
        self.rssm.posterior_out.weight.mul_(self.config.rssm.posterior_init_scale)
        self.decoder.shared.weight.mul_(self.config.decoder.feat_init_scale)
        if self.color_decoder is not None and self.config.decoder.corrects_painted_colors:
            self.color_decoder.silence_()  # nothing to correct yet
        if self.rssm.arm_motion is not None:
            self.rssm.arm_motion.reset_()  # no parameter: what a module was built with is undefined
        if self.rssm.scene_track is not None:
            self.rssm.scene_track.reset_()  # same

    @torch.no_grad()
    def fit_arm_(
        self,
        proprio: Float[np.ndarray, "N P"],
        action: Float[np.ndarray, "N A"],
        is_first: Bool[np.ndarray, " N"],
    ) -> None:
        """Find how the arm moves in the training frames, if the state carries it; part of the checkpoint."""
        if self.rssm.arm_motion is None:
            return
        rows = torch.from_numpy(np.flatnonzero(~is_first[1:]))
        arm = self.proprio_normalizer(torch.from_numpy(proprio).to(self.device))
        executed = torch.from_numpy(action).to(self.device)
        self.rssm.arm_motion.fit_(arm[rows], executed[rows], arm[rows + 1])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.rssm.initial_deter.device

    def initial_state(self, batch: int) -> RSSMState:
        """The state before any frame, for ``batch`` streams."""
        return self.rssm.initial_state(batch)

    def state_from_feat(self, feat: Float[Tensor, "*batch F"]) -> RSSMState:
        """Split stored features back into a state."""
        return self.rssm.state_from_feat(feat)

    def noise(self, *shape: int, generator: torch.Generator) -> Tensor:
        """Gumbel noise ``(*shape, stoch_dim, stoch_classes)`` for sampling states."""
        size = self.config.rssm
        return gumbel_noise((*shape, size.stoch_dim, size.stoch_classes), generator, self.device)

    def embed(self, batch: Batch) -> Float[Tensor, "*batch E"]:
        """Encode frames.

        Args:
            batch: ``image_static`` and ``image_gripper`` as bytes ``(..., 64, 64, 3)``, ``proprio`` raw
                ``(..., 18)``, with any number of leading axes, with or without the keys of ``ColorTargets``.
        """
        leading = batch[PROPRIO].shape[:-1]
        static, gripper = (batch[key].flatten(end_dim=-4) for key in (IMAGE_STATIC, IMAGE_GRIPPER))
        measured = self.proprio_normalizer(batch[PROPRIO]).reshape(-1, PROPRIO_DIM)
        if self.colors is not None and self.config.encoder.measures_colors:
            measured = torch.cat([color_targets(self.colors, batch)[0], measured], dim=-1)
        embed: Tensor = self.encoder.encode_bytes(static, gripper, measured)
        return embed.reshape(*leading, self.embed_dim)

    def observe(
        self,
        embed: Float[Tensor, "B T E"],
        prev_action: Float[Tensor, "B T A"],
        is_first: Bool[Tensor, "B T"],
        state: RSSMState,
        generator: torch.Generator,
    ) -> Observed:
        """Filter ``T`` frames per stream with the posterior; see ``RSSM.observe``."""
        noise = self.noise(*embed.shape[:2], generator=generator)
        return self.rssm.observe(embed, prev_action, is_first, state, noise)

    def imagine_step(
        self, state: RSSMState, action: Float[Tensor, "B A"], generator: torch.Generator
    ) -> RSSMState:
        """The state after ``action``, from the prior: nothing is seen."""
        return self.rssm.imagine_step(state, action, self.noise(len(action), generator=generator))

    def decode(
        self, feat: Float[Tensor, "*batch F"]
    ) -> tuple[Float[Tensor, "*batch 3 64 64"], Float[Tensor, "*batch 3 64 64"]]:
        """Static and gripper image, around [-1, 1], channels first."""
        static, gripper = self.decoder(feat.reshape(-1, self.feat_dim))
        return static.reshape(*feat.shape[:-1], *static.shape[1:]), gripper.reshape(
            *feat.shape[:-1], *gripper.shape[1:]
        )

    def read_colors(self, feat: Float[Tensor, "*batch F"]) -> Float[Tensor, "*batch M"]:
        """Colour moments of both cameras, decoded from features.

        Raises:
            ValueError: If none are decoded.
        """
        if self.color_decoder is None:
            raise ValueError("no colours are decoded; set world_model.losses.color_coef above 0")
        read: Tensor = self.color_decoder.from_feat(feat)
        return read + self.rssm.painted(feat) if self.config.decoder.corrects_painted_colors else read

    def loss(
        self,
        batch: Batch,
        state: RSSMState,
        generator: torch.Generator,
        *,
        decode_fraction: float = 1.0,
        reset: Bool[Tensor, "B T"] | None = None,
        part: Part | None = None,
        overshooting_coef: float | None = None,
    ) -> tuple[LossOutput, RSSMState]:
        """The training loss of a batch of windows: :meth:`draw_for_loss`, then :meth:`drawn_loss`."""
        options: dict[str, Any] = {"part": part, "overshooting_coef": overshooting_coef}
        streams, steps = batch[PROPRIO].shape[:2]
        draws = self.draw_for_loss((streams, steps), generator, decode_fraction=decode_fraction, **options)
        return self.drawn_loss(batch, state, draws, reset=reset, **options)

    def draw_for_loss(
        self,
        windows: tuple[int, int],
        generator: torch.Generator,
        *,
        decode_fraction: float = 1.0,
        part: Part | None = None,
        overshooting_coef: float | None = None,
    ) -> LossDraws:
        """Draw what a loss needs.

        Args:
            windows: Streams B and frames T of each.
            generator: For the samples of z, the choice of decoded frames and dropout.
            decode_fraction: Share of the frames that the image loss is computed on.
            part: Of a larger batch that these windows are; what is drawn is then this part's of the whole.
            overshooting_coef: In place of the one of the model's page.
        """
        return draw_for_loss(
            self.noise,
            self.inverse_dynamics,
            windows,
            generator,
            decode_fraction=decode_fraction,
            ahead="ahead" in loss_coefs(self.config.losses, overshooting_coef),
            part=part,
        )

    def drawn_loss(
        self,
        batch: Batch,
        state: RSSMState,
        draws: LossDraws,
        *,
        reset: Bool[Tensor, "B T"] | None = None,
        part: Part | None = None,
        overshooting_coef: float | None = None,
    ) -> tuple[LossOutput, RSSMState]:
        """The loss once its draws are made: of tensors on the model's device alone, and never waiting.

        Args:
            batch: All keys of an episode batch, ``(B, T, ...)``, with or without those of ``ColorTargets``;
                with ``EMBED`` nothing is encoded.
            state: Of each stream before its window.
            draws: From :meth:`draw_for_loss`.
            reset: Where the state is dropped although no episode starts; ``is_first`` always drops it.
            part: Of a larger batch that these windows are; losses and metrics are then this part's of it.
            overshooting_coef: In place of the one of the model's page.

        Returns:
            Loss and metrics, and the state after the windows, detached.
        """
        batch = batch if self.colors is None else with_color_targets(self.colors, batch)
        embed = batch[EMBED] if EMBED in batch else self.embed(batch)
        drop = batch[IS_FIRST] if reset is None else batch[IS_FIRST] | reset
        observed = self.rssm.observe(embed, batch[PREV_ACTION], drop, state, draws.noise)
        terms, metrics = loss_terms(self, batch, embed, observed, draws)
        if draws.ahead is not None:
            terms["ahead"] = overshooting_loss(self.rssm, observed, batch[PREV_ACTION], drop, draws.ahead)
        if part:
            terms, metrics = (part.weigh(values, draws.decoded_share) for values in (terms, metrics))
        loss = weighted_sum(terms, loss_coefs(self.config.losses, overshooting_coef))
        metrics |= {f"{name}_loss": term.detach() for name, term in terms.items()} | {"loss": loss.detach()}
        return LossOutput(loss, metrics), observed.state.detach()

    def to_checkpoint(self, **extra: Any) -> Checkpoint:
        """The model at rest; ``extra`` are plain values to keep beside it."""
        extra = {"rotation_convention": self.rotation_convention, **extra}
        return Checkpoint(KIND, dict(self.state_dict()), config_to_dict(self.config), extra)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "WorldModel":
        """Rebuild a model on CPU, in evaluation mode and frozen.

        Raises:
            ValueError: If the checkpoint holds something else.
        """
        model = cls(config_from_dict(WorldModelConfig, checkpoint.expect(KIND).config))
        checkpoint.load_into(model)
        model.rotation_convention = checkpoint.extra.get("rotation_convention", "extrinsic")
        return model.eval().requires_grad_(False)
