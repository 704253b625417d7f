"""All that is drawn at random for a step's loss, so that the loss itself is a function of tensors alone."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from wam.world_model.inverse_dynamics import InverseDynamics
from wam.world_model.losses import choose_frames
from wam.world_model.part import Part


class LossDraws(NamedTuple):
    """What ``WorldModel.loss`` draws, all on the model's device.

    Attributes:
        noise: Gumbel noise for the posterior's samples, ``(B, T, V, C)``.
        chosen: Indices of the frames that are decoded, of ``B x T`` in a row.
        decoded_share: Theirs of all that the whole batch decodes; 1 for a batch that is not cut in parts.
        ahead: Noise for the prior's samples along the windows, ``(B, T, V, C)``; None where none are made.
        masks: Of the head's dropout.
    """

    noise: Tensor
    chosen: Tensor
    decoded_share: float
    ahead: Tensor | None
    masks: list[Tensor]


def draw_for_loss(
    noise: Callable[..., Tensor],
    head: InverseDynamics | None,
    windows: tuple[int, int],
    generator: torch.Generator,
    *,
    decode_fraction: float,
    ahead: bool,
    part: Part | None,
) -> LossDraws:
    """Draw for a batch, or for the part of one: then the same as for all of it, of which it takes its own.

    Args:
        noise: ``WorldModel.noise``.
        head: Whose dropout is drawn, after all else: what a model without the head draws is the same.
        windows: Streams and frames of each, of what the loss is computed on.
        generator: Draws.
        decode_fraction: Share of the frames that the image loss is computed on.
        ahead: Whether the prior is asked for windows from their first frame.
        part: Of a larger batch that these streams are.
    """
    streams, steps = (part.batch if part else windows[0]), windows[1]

    def own(drawn: Tensor) -> Tensor:
        return drawn[part.streams] if part else drawn

    samples = own(noise(streams, steps, generator=generator))
    chosen, share = choose_frames(streams * steps, decode_fraction, generator).to(samples.device), 1.0
    if part:
        chosen, share = part.decoded(chosen, steps)
    along = own(noise(streams, steps, generator=generator)) if ahead else None
    masks = [] if head is None else head.masks(streams, steps, generator)
    return LossDraws(samples, chosen, share, along, [own(mask).to(samples.device) for mask in masks])
