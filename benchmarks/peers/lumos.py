"""LUMOS (nematoli/lumos): its DreamerV2, without Lightning's trainer, which favours it.

Needs its checkout, and ``hydra-core`` and ``pytorch-lightning`` on the import path
(``pip install --no-deps --target FOLDER hydra-core pytorch-lightning lightning-utilities``).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers import stand_in, use_folder

PROPRIO_DIM = 15
"""Its world model appends 15 values, ours 18."""


def build(folder: Path, batch: int) -> nn.Module:
    """Its world model at the published sizes, with the values of its configuration files."""
    use_folder(folder, "lumos/world_models/dreamer_v2.py")
    stand_in("wandb")
    from lumos.world_models.dreamer_v2 import DreamerV2  # noqa: PLC0415 - only now is it on the path
    from omegaconf import OmegaConf  # noqa: PLC0415

    places = "lumos.world_models"
    gru = {
        "_target_": f"{places}.rssm.gru.GRUCellStack",
        "input_size": 1000,
        "hidden_size": 1024,
        "n_layers": 1,
    }
    cell = {"_target_": f"{places}.rssm.cell.RSSMCell", "embed_dim": 0, "action_dim": 7, "gru": gru}
    cell |= {
        "deter_dim": 1024,
        "stoch_dim": 32,
        "stoch_rank": 32,
        "hidden_dim": 1000,
        "layer_norm": True,
        "_recursive_": False,
    }
    rssm = {"_target_": f"{places}.rssm.core.RSSMCore", "_recursive_": False, "cell": cell}
    images = {"cnn_depth": 48, "stride": 2, "activation": "elu"}
    encoder = images | {"_target_": f"{places}.encoders.cnn_encoder.CnnEncoder", "kernels": [4, 4, 4, 4]}
    decoder = images | {"_target_": f"{places}.decoders.cnn_decoder.CnnDecoder", "kernels": [5, 5, 6, 6]}
    decoder |= {"in_dim": 0, "layer_norm": True, "mlp_layers": 0}
    off = {
        "autocast": {"_target_": "torch.amp.autocast", "device_type": "cpu", "enabled": False},
        "scaler": {"_target_": "torch.amp.GradScaler", "device": "cpu", "enabled": False},
    }
    loss = {"kl_balance": 0.8, "kl_weight": 0.3, "image_weight": 1.0, "grad_clip": 100.0}
    pages = (OmegaConf.create(page) for page in (encoder, decoder, rssm, off, {}, loss))
    names = ("encoder", "decoder", "rssm", "amp", "optimizer", "loss")
    settings = {"batch_size": batch, "with_proprio": True, "gripper_control": False, "name": "dreamer_v2"}
    model: nn.Module = DreamerV2(**dict(zip(names, pages, strict=True)), **settings)
    return model


def training_step(
    model: Any, batch: int, steps: int, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> Callable[[], None]:
    """One step on random frames, where the model is: forward, loss, backward, clip, AdamW.

    Args:
        model: Its world model.
        batch: Streams.
        steps: Frames of each.
        autocast: Makes the precision that forward and loss run in; its own trainer enters one likewise.
    """
    device = next(model.parameters()).device
    draw = {"generator": torch.Generator(device).manual_seed(0), "device": device}
    static, gripper = (torch.rand(steps, batch, 3, 64, 64, **draw) * 2 - 1 for _ in range(2))
    proprio = torch.rand(steps, batch, PROPRIO_DIM, **draw)
    action = torch.rand(steps, batch, 7, **draw) * 2 - 1
    reset = torch.zeros(steps, batch, 1, dtype=torch.bool, device=device)
    frames = {"vis": {"rgb_obs": {"rgb_static": static, "rgb_gripper": gripper}}}
    state = model.rssm_core.init_state(batch)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=3e-4, eps=1e-5, weight_decay=0.05)

    def step() -> None:
        optimizer.zero_grad()
        with autocast():
            outputs = model(static, gripper, proprio, action, proprio, reset, state)
            loss = model.loss(frames, outputs)["loss_total"]
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 100.0)
        optimizer.step()

    return step


def observe(model: Any, embed: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, posterior and prior logits of its RSSM, from ``(B, T, ...)`` inputs."""
    embed = embed[..., : model.rssm_core.cell.embed_dim]
    reset = torch.zeros(*action.shape[1::-1], 1, dtype=torch.bool)
    state = model.rssm_core.init_state(len(embed))
    inputs = embed.transpose(0, 1).contiguous(), action.transpose(0, 1).contiguous()
    prior, posterior, feat, _ = model.rssm_core(*inputs, reset, state)
    return feat, posterior, prior
