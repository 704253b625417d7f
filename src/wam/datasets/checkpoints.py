"""Trained weights: safetensors beside JSON, never a pickle."""

from pathlib import Path

from wam.datasets.artefact import ArtefactDataset
from wam.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


class CheckpointDataset(ArtefactDataset[Checkpoint, Checkpoint]):
    """A model's weights with its configuration; loading runs no code from the file."""

    def _write(self, path: Path, data: Checkpoint) -> None:
        save_checkpoint(path, data)

    def _read(self, path: Path) -> Checkpoint:
        return load_checkpoint(path)
