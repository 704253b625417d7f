"""Scratch folders of long nodes, kept over killed runs."""

import os
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class WorkDirDataset(AbstractDataset[NoReturn, Path]):
    """The folder in which long nodes keep half-done work. Loading gives its path, saving is refused.

    ``hooks.work_dirs`` hands each node a folder of its own below it, named after the node and a digest of
    its parameters and inputs, and removes that folder once the node's outputs are saved.

    Args:
        filepath: The folder; made on first use.
        metadata: Free for hooks and plugins.
    """

    def __init__(self, *, filepath: str | os.PathLike[str], metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata
        self._filepath = Path(filepath)

    def load(self) -> Path:
        """The folder, made if it is not there."""
        self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, data: NoReturn) -> NoReturn:
        """Refused: nodes write below the folder themselves."""
        raise DatasetError(f"{self._filepath} is a scratch folder; save {type(data).__name__} elsewhere")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
