"""Generation quality of the world models beside the paper's table I."""

from typing import Final

import pandas as pd

from wam.evaluation.video_metrics import NOT_AVAILABLE
from wam.report.labels import world_model_title
from wam.report.published import ANOTHER_DATA_SET, PUBLISHED_QUALITY

QUALITY_NOTE: Final = (
    "Held-out sequences imagined from one real frame with the recorded actions; mean and deviation over "
    f"sequences, both cameras. The paper's columns come from {ANOTHER_DATA_SET}; its camera is not said."
)

BROUGHT_BACK: Final = "brought_back"
"""Metric that is 1 where another machine trained the world model."""


def quality_note(metrics: pd.DataFrame) -> str:
    """What the table shows, and which world models are not those that a training ended with.

    Args:
        metrics: As :func:`generation_quality`'s.
    """
    rows = metrics[(metrics["name"] == BROUGHT_BACK) & (metrics["value"] == 1.0)]
    names = [world_model_title(str(condition)) for condition in rows["condition"].unique()]
    if not names:
        return QUALITY_NOTE
    return (
        f"{QUALITY_NOTE} Trained on another machine and brought back with their large matrices rounded to "
        f"bfloat16: {', '.join(names)}; everything on this page was made with those."
    )


def generation_quality(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row a metric, one column a world model, then the paper's two.

    Args:
        metrics: Columns condition, name (``psnr_mean``, ``psnr_std``, ..., ``fvd``) and value.

    Returns:
        Text; a metric whose network was not given says so, and how to get it.
    """
    table = pd.DataFrame({"metric": [row.title for row in PUBLISHED_QUALITY]})
    for condition, rows in metrics.groupby("condition", sort=False):
        values = dict(zip(rows["name"], rows["value"], strict=True))
        table[world_model_title(str(condition))] = [_cell(row.name, values) for row in PUBLISHED_QUALITY]
    table[f"WAM paper ({ANOTHER_DATA_SET})"] = [row.wam for row in PUBLISHED_QUALITY]
    table[f"its DreamerV2 ({ANOTHER_DATA_SET})"] = [row.dreamer for row in PUBLISHED_QUALITY]
    return table


def _cell(name: str, values: dict[str, float]) -> str:
    if f"{name}_mean" in values:
        digits = 2 if name == "psnr" else 3
        return f"{values[f'{name}_mean']:.{digits}f} ± {values[f'{name}_std']:.{digits}f}"
    if name in values:
        return f"{values[name]:.2f}"
    return NOT_AVAILABLE.get(name, "n/a")
