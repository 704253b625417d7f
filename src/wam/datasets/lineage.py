"""What a node's outputs descend from, as an input of the node itself."""

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class LineageDataset(AbstractDataset[NoReturn, dict[str, Any]]):
    """Ancestors, versions and code of a run, for nodes that print them. ``hooks.provenance`` fills it in.

    Args:
        metadata: Free for hooks and plugins.
    """

    def __init__(self, *, metadata: dict[str, Any] | None = None) -> None:
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Nothing: outside a run there is no lineage."""
        return {}

    def save(self, data: NoReturn) -> NoReturn:
        """Refused: lineage is found out, not written."""
        raise DatasetError(f"lineage cannot be saved, got {type(data).__name__}")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {}
