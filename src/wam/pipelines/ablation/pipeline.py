"""Wiring of the ablation: the stages themselves for every row and seed, and a page about all of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kedro.pipeline import Node, Pipeline

from wam.pipelines import behavior_cloning, diagnostics, evaluation, features, ppo, rewards, world_model
from wam.pipelines.ablation.nodes import compare_rows, render_ablation
from wam.pipelines.ablation.table import AblationTable, cells_of_table
from wam.pipelines.grid import Variant

TAG: Final = "ablation"
"""On every node of the pipeline."""
PAGES: Final = "ablation_cells"
"""Parameter under which each cell's own pages lie."""
PLAY_FEATURES: Final = "featurize_play"
"""Node that only probes and classifiers need, so only cells that are refined."""


def create_pipeline(
    table: AblationTable | None = None, pages: Mapping[str, Mapping[str, Any]] | None = None
) -> Pipeline:
    """Training and evaluation of every cell, and the page.

    Args:
        table: Rows, seeds and questions; without one only the page is made, of no rows.
        pages: Each cell's own pages, by cell; see ``table.cell_pages``.
    """
    if table is None or pages is None:
        return _page([], [])
    found = Pipeline([])
    for cell in cells_of_table(table):
        own = {f"params:{page}": f"params:{PAGES}.{cell.name}.{page}" for page in pages[cell.name]}
        variant = Variant(cell.name, own, refined=table.rows[cell.row].ppo)
        found += Pipeline(_cell(variant), tags=[TAG, cell.row, cell.seed, *table.questions_of(cell.row)])
    return found + _page(list(pages), [*table.questions, *table.rows, *table.seeds, *pages])


def _cell(variant: Variant) -> Pipeline:
    alone = [variant]
    seen = features.create_pipeline(alone)
    made = world_model.create_pipeline(alone)
    made += behavior_cloning.create_pipeline(alone) + evaluation.create_pipeline(alone)
    if variant.refined:
        return (
            made
            + seen
            + rewards.create_pipeline(alone)
            + diagnostics.create_pipeline(alone)
            + (ppo.create_pipeline(alone))
        )
    return made + Pipeline([node for node in seen.nodes if not node.name.endswith(PLAY_FEATURES)])


def _page(cells: Sequence[str], tags: Iterable[str]) -> Pipeline:
    kinds = ("results", "metrics", "world_model_curves")
    tables = ["ablation_rows", "ablation_rates", "ablation_differences", "ablation_quality", "ablation_hours"]
    return Pipeline(
        [
            Node(
                compare_rows,
                ["params:ablation", "lineage", *[f"{cell}.{kind}" for kind in kinds for cell in cells]],
                tables,
                name="compare_rows",
            ),
            Node(
                render_ablation,
                ["params:ablation", "lineage", *tables],
                ["ablation_report", "ablation_markdown"],
                name="render_ablation",
            ),
        ],
        tags=[TAG, *tags],
    )
