"""Checkpoints as safetensors and JSON: loading one never runs code, a half-written one never exists."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

WEIGHTS_FILE = "weights.safetensors"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Checkpoint:
    """A trained model at rest.

    Attributes:
        kind: What it is, for example ``world_model``; a loader refuses another kind.
        weights: Tensors by name, buffers included.
        config: Plain values that rebuild the model.
        extra: Plain values beside it, for example how it was trained.
    """

    kind: str
    weights: dict[str, Tensor]
    config: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)

    def expect(self, kind: str) -> "Checkpoint":
        """Itself, if it is of this kind.

        Raises:
            ValueError: If it is another kind.
        """
        if self.kind != kind:
            raise ValueError(f"the checkpoint holds a {self.kind!r}, want a {kind!r}")
        return self

    def load_into(self, module: nn.Module) -> None:
        """Give a module these weights.

        Raises:
            ValueError: If they are not that module's, naming some that differ: another version wrote them.
        """
        own = module.state_dict()
        differ = {
            "lacks": own.keys() - self.weights.keys(),
            "has besides": self.weights.keys() - own.keys(),
            "has in another shape": {
                name
                for name in own.keys() & self.weights.keys()
                if own[name].shape != self.weights[name].shape
            },
        }
        found = [f"{how} {', '.join(sorted(names)[:3])}" for how, names in differ.items() if names]
        if found:
            raise ValueError(
                f"the checkpoint of a {self.kind} was written by another version of wam: it "
                f"{'; it '.join(found)}. Make it again with the stage that trains it"
            )
        module.load_state_dict(self.weights)

    @property
    def digest(self) -> str:
        """SHA-256 over kind, configuration, names and values of the weights."""
        digest = hashlib.sha256(json.dumps([self.kind, self.config], sort_keys=True).encode())
        for name in sorted(self.weights):
            tensor = self.weights[name].detach().cpu().contiguous()
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into ``directory``, in one move; an older one there is removed right before it."""
    scratch = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    scratch.mkdir(parents=True)
    try:
        save_file(own_copies(checkpoint.weights), scratch / WEIGHTS_FILE)
        page = {"kind": checkpoint.kind, "config": checkpoint.config, "extra": checkpoint.extra}
        (scratch / CONFIG_FILE).write_text(json.dumps(page, indent=2, sort_keys=True) + "\n")
        if directory.exists():
            shutil.rmtree(directory)
        os.replace(scratch, directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def own_copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on CPU that share no memory, as safetensors wants them."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def load_checkpoint(directory: Path) -> Checkpoint:
    """Read what ``save_checkpoint`` wrote.

    Raises:
        FileNotFoundError: If a file is missing, naming it.
        ValueError: If the configuration is no checkpoint's.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory} is no checkpoint: it has no {name}")
    page = json.loads((directory / CONFIG_FILE).read_text())
    if not isinstance(page, dict) or page.keys() != {"kind", "config", "extra"}:
        raise ValueError(f"{directory / CONFIG_FILE} does not describe a checkpoint (kind, config, extra)")
    return Checkpoint(page["kind"], load_file(directory / WEIGHTS_FILE), page["config"], page["extra"])
