"""Which readers of features a page asks for, and which head, beside the decoder of pictures."""

from typing import cast

from wam.contracts import PROPRIO_DIM
from wam.nn.init import build_empty
from wam.nn.mlp import MLP
from wam.world_model.color_decoder import ColorDecoder
from wam.world_model.colors import moments_of
from wam.world_model.config import WorldModelConfig
from wam.world_model.encoder import Encoder
from wam.world_model.inverse_dynamics import InverseDynamics


def inverse_dynamics_of(config: WorldModelConfig, encoder: Encoder) -> InverseDynamics | None:
    """The head that makes a world model WAM; None where ``losses.action_coef`` is 0."""
    if config.losses.action_coef == 0:
        return None
    page, widths = config.inverse_dynamics, (encoder.embed_dim, encoder.image_dim, config.feat)
    return cast(InverseDynamics, build_empty(lambda: InverseDynamics(page, *widths)))


def proprio_decoder_of(config: WorldModelConfig) -> MLP | None:
    """What reads proprioception out of features; None where ``losses.proprio_coef`` is 0."""
    if config.losses.proprio_coef == 0:
        return None
    hidden = config.decoder.proprio_hidden
    return cast(MLP, build_empty(lambda: MLP(config.feat, hidden, PROPRIO_DIM)))


def color_decoder_of(config: WorldModelConfig) -> ColorDecoder | None:
    """What reads colour moments out of features; None where ``losses.color_coef`` is 0."""
    if config.losses.color_coef == 0:
        return None
    page = config.decoder
    return ColorDecoder(config.feat, page.color_hidden, moments_of(page.colors))
