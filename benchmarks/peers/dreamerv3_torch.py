"""NM512/dreamerv3-torch: its RSSM at our sizes."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers import stand_in, use_folder


def build(folder: Path, embed_dim: int) -> nn.Module:
    """Its RSSM with 32 x 32 categoricals, deter 1024 and hidden 1000; else its defaults."""
    use_folder(folder, "networks.py")
    stand_in("torch.utils.tensorboard", SummaryWriter=None)
    from networks import RSSM  # noqa: PLC0415 - only now is it on the path

    sizes = {"stoch": 32, "deter": 1024, "hidden": 1000, "discrete": 32, "num_actions": 7, "embed": embed_dim}
    model: nn.Module = RSSM(**sizes, device="cpu")
    return model


def observe(model: Any, embed: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, posterior and prior logits, from ``(B, T, ...)`` inputs."""
    posterior, prior = model.observe(embed, action.clone(), torch.zeros(action.shape[:2]))
    return model.get_feat(posterior), posterior["logit"], prior["logit"]
