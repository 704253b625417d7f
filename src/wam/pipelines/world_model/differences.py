"""In which settings the world models of a run differ: the first thing to know of a comparison."""

from collections.abc import Mapping
from typing import Any

from wam.contracts import config_to_dict, dotted
from wam.pipelines.pages import WorldModelRow
from wam.world_model.config import WorldModelConfig
from wam.world_model.training_config import WorldModelTrainingConfig

Difference = tuple[Any, ...]
"""Dotted name of a setting, then its value for each world model."""


def differing_settings(
    rows: Mapping[str, WorldModelRow], model: WorldModelConfig, training: WorldModelTrainingConfig
) -> list[Difference]:
    """Settings that are not the same for all world models, sorted by name.

    Args:
        rows: Rows of the table of world models by name.
        model: Page that they share.
        training: Page that they share.
    """
    settings = []
    for row in rows.values():
        own_model, own_training = row.applied(model, training)
        pages = {
            "world_model": config_to_dict(own_model),
            "world_model_training": config_to_dict(own_training),
        }
        settings.append(dict(dotted(pages)))
    names = sorted({name for values in settings for name in values})
    table = [(name, *(values.get(name) for values in settings)) for name in names]
    return [row for row in table if any(value != row[1] for value in row[2:])]


def settings_markdown(rows: Mapping[str, WorldModelRow], differences: list[Difference]) -> str:
    """The differences as a Markdown table, one column a world model."""
    lines = [("setting", *rows), ("---",) * (len(rows) + 1), *differences]
    return "".join("| " + " | ".join(_text(cell) for cell in line) + " |\n" for line in lines)


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
