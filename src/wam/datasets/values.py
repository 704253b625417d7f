"""Small artefacts, one file each: JSON values, Parquet tables, text."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from kedro_datasets._typing import JSONPreview, TablePreview

from wam.datasets.artefact import ArtefactDataset


class JsonDataset(ArtefactDataset[Any, Any]):
    """Plain values (dicts, lists, numbers, text) as indented JSON; NaN is refused."""

    def _write(self, path: Path, data: Any) -> None:
        path.write_text(json.dumps(data, indent=1, allow_nan=False))

    def _read(self, path: Path) -> Any:
        return json.loads(path.read_text())

    def preview(self) -> JSONPreview:
        """The values, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load()))


class TableDataset(ArtefactDataset[pd.DataFrame, pd.DataFrame]):
    """A data frame as Parquet. The index is not kept: what matters is a column."""

    def _write(self, path: Path, data: pd.DataFrame) -> None:
        data.to_parquet(path, index=False)

    def _read(self, path: Path) -> pd.DataFrame:
        return pd.read_parquet(path)

    def preview(self, nrows: int = 16) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        head = self.load().head(nrows).map(_short)
        return TablePreview(head.to_dict(orient="split"))


class TextDataset(ArtefactDataset[str, str]):
    """Text in UTF-8: Markdown tables, HTML pages."""

    def _write(self, path: Path, data: str) -> None:
        path.write_text(data, encoding="utf-8")

    def _read(self, path: Path) -> str:
        return path.read_text(encoding="utf-8")


def _short(value: Any) -> Any:
    text = str(value)
    return value if isinstance(value, int | float | bool) else text[:60]
