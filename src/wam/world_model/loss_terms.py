"""Which terms a world model's loss has, how much each weighs, and what is shown of them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wam.contracts import ACTION, IMAGE_GRIPPER, IMAGE_STATIC, IS_FIRST, PROPRIO, Batch
from wam.nn.distributions import balanced_kl, categorical_entropy
from wam.world_model.color_decoder import color_loss
from wam.world_model.color_targets import color_targets
from wam.world_model.config import LossConfig
from wam.world_model.draws import LossDraws
from wam.world_model.rssm import Observed

if TYPE_CHECKING:
    from wam.world_model.model import WorldModel


def loss_coefs(losses: LossConfig, overshooting_coef: float | None = None) -> dict[str, float]:
    """Weight of each term of the loss; a part that is left out has none.

    Args:
        losses: The model's page.
        overshooting_coef: In place of the one there.
    """
    optional = {
        "action": losses.action_coef,
        "proprio": losses.proprio_coef,
        "color": losses.color_coef,
        "ahead": losses.overshooting_coef if overshooting_coef is None else overshooting_coef,
    }
    kept = {name: coef for name, coef in optional.items() if coef}
    return {"kl": losses.kl_coef, "image": losses.image_coef} | kept


def loss_terms(
    model: "WorldModel", batch: Batch, embed: Tensor, observed: Observed, draws: LossDraws
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The terms that come from filtered windows, before they are weighed, and metrics beside them.

    Args:
        model: Whose loss it is.
        batch: See ``WorldModel.drawn_loss``.
        embed: Of its frames, ``(B, T, E)``.
        observed: The windows, filtered.
        draws: Say which frames are decoded, and what the head drops.
    """
    posterior, prior = observed.posterior_logits, observed.prior_logits
    feat, static, gripper = (
        x.flatten(end_dim=1)[draws.chosen] for x in (observed.feat, batch[IMAGE_STATIC], batch[IMAGE_GRIPPER])
    )
    terms = {
        "kl": balanced_kl(posterior, prior, model.config.losses.kl_balance).mean(),
        "image": model.decoder.loss(feat, static, gripper),
    }
    with torch.no_grad():
        metrics = {
            "posterior_entropy": categorical_entropy(posterior).mean(),
            "prior_entropy": categorical_entropy(prior).mean(),
        }
    if model.inverse_dynamics is not None:
        seen = model.inverse_dynamics.seen(embed, observed.feat)
        terms["action"], metrics["action_error"] = model.inverse_dynamics.loss(
            seen, batch[ACTION], batch[IS_FIRST], draws.masks
        )
    if model.proprio_decoder is not None:
        error = model.proprio_decoder(observed.feat) - model.proprio_normalizer(batch[PROPRIO])
        terms["proprio"] = 0.5 * error.square().sum(dim=-1).mean()
    if model.color_decoder is not None and model.colors is not None:
        # of all frames: reading colours costs next to nothing beside drawing pictures
        target, weight = color_targets(model.colors, batch)
        read = model.read_colors(observed.feat.flatten(end_dim=1))
        terms["color"] = color_loss(read, target, weight)
    return terms, metrics
