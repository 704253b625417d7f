"""Wiring of the ablation: the stages themselves for every row and seed, and a page about all of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kedro.pipeline import Node, Pipeline

from wam.pipelines import behavior_cloning, diagnostics, evaluation, features, ppo, rewards, world_model
from wam.pipelines.ablation.nodes import compare_rows, render_ablation
from wam.pipelines.ablation.table import AblationCell, AblationTable, cells_of_table, maker_of
from wam.pipelines.grid import Variant

TAG: Final = "ablation"
"""On every node of the pipeline."""
PAGES: Final = "ablation_cells"
"""Parameter under which each cell's own pages lie."""
PLAY_FEATURES: Final = "featurize_play"
"""Node that only probes and classifiers need, so only cells that are refined."""
TAKEN: Final = (
    "world_model",
    "world_model_curves",
    "open_loop_quality",
    "open_loop_summary",
    "open_loop_pictures",
    "expert_features",
)
"""What a row that takes another row's world models does not make itself."""


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
    cells = cells_of_table(table)
    found = sum((_of_cell(table, cell, pages[cell.name]) for cell in cells), Pipeline([]))
    results = [f"{cell.name}.{kind}" for kind in ("results", "metrics") for cell in cells]
    curves = [f"{maker_of(table, cell).name}.world_model_curves" for cell in cells]
    return found + _page([*results, *curves], [*table.questions, *table.rows, *table.seeds, *pages])


def _of_cell(table: AblationTable, cell: AblationCell, pages: Iterable[str]) -> Pipeline:
    """A cell under its tags. What others take of it has theirs too, so that each runs by its own name."""
    own = {f"params:{page}": f"params:{PAGES}.{cell.name}.{page}" for page in pages}
    whole = _cell(Variant(cell.name, own, refined=table.rows[cell.row].ppo))
    maker = maker_of(table, cell)
    taken = {f"{cell.name}.{name}": f"{maker.name}.{name}" for name in TAKEN}
    made = [node for node in whole.nodes if taken.keys() & set(node.outputs)]
    rest, tags = whole - Pipeline(made), _tags(table, cell)
    if maker != cell:
        return Pipeline(rest, inputs={n: taken[n] for n in rest.inputs() & taken.keys()}, tags=tags)
    users = [one for one in cells_of_table(table) if maker_of(table, one) == cell]
    return Pipeline(rest, tags=tags) + Pipeline(made, tags={t for user in users for t in _tags(table, user)})


def _tags(table: AblationTable, cell: AblationCell) -> list[str]:
    return [TAG, cell.name, cell.row, cell.seed, *table.questions_of(cell.row)]


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


def _page(of_cells: Sequence[str], tags: Iterable[str]) -> Pipeline:
    tables = ["ablation_rows", "ablation_rates", "ablation_differences", "ablation_quality", "ablation_hours"]
    return Pipeline(
        [
            Node(
                compare_rows,
                ["params:ablation", "lineage", *of_cells],
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
