"""TorchRL: its DreamerV3 RSSM rollout with the plain GRU, on the path that takes tensors, at our sizes.

Install it beside, not into, the project's environment:
``pip install --no-deps --target FOLDER torchrl tensordict pyvers orjson``.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers import use_folder


def build(folder: Path, embed_dim: int, compiled: str | None = None) -> nn.Module:
    """Its rollout; ``compiled`` is None for the plain loop, or what to compile: ``step`` or ``scan``."""
    use_folder(folder, "torchrl/modules/models/model_based.py")
    from tensordict.nn import TensorDictModule  # noqa: PLC0415 - only now is it on the path
    from torchrl.modules.models.model_based import (  # noqa: PLC0415
        RSSMPosteriorV3,
        RSSMPriorV3,
        RSSMRolloutV3,
    )

    sizes = {"hidden_dim": 1000, "rnn_hidden_dim": 1024, "num_categoricals": 32, "num_classes": 32}
    prior = TensorDictModule(
        RSSMPriorV3(action_shape=torch.Size([7]), action_dim=7, **sizes),
        in_keys=["state", "belief", "action"],
        out_keys=[("next", "prior_logits"), ("next", "state"), ("next", "belief")],
    )
    posterior = TensorDictModule(
        RSSMPosteriorV3(obs_embed_dim=embed_dim, **sizes),
        in_keys=[("next", "belief"), ("next", "encoded_latents")],
        out_keys=[("next", "posterior_logits"), ("next", "state")],
    )
    rollout: Any = RSSMRolloutV3(prior, posterior)
    if compiled is not None:
        rollout.compile_rollout(compiled)
    module: nn.Module = rollout
    return module


def observe(model: Any, embed: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, posterior and prior logits, from ``(B, T, ...)`` inputs."""
    from tensordict import TensorDict  # noqa: PLC0415

    shape = action.shape[:2]
    inputs = {"state": torch.zeros(*shape, 1024), "belief": torch.zeros(*shape, 1024), "action": action}
    out = model(TensorDict({**inputs, "next": {"encoded_latents": embed}}, shape))["next"]
    return torch.cat([out["belief"], out["state"]], dim=-1), out["posterior_logits"], out["prior_logits"]
