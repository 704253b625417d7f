"""Wiring of the ablation: the stages themselves for every row and seed, and a page about all of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kedro.pipeline import Node, Pipeline

from wam.pipelines import behavior_cloning, diagnostics, evaluation, features, ppo, rewards, world_model
from wam.pipelines.ablation.nodes import compare_rows, draw_rates, render_ablation
from wam.pipelines.ablation.table import AblationCell, AblationTable, cells_of_table, maker_of
from wam.pipelines.grid import Variant

TAG: Final = "ablation"
"""On every node of the pipeline."""
PAGES: Final = "ablation_cells"
"""Parameter under which each cell's own pages lie."""
PLAY_FEATURES: Final = "featurize_play"
"""Node that only probes and classifiers need, so only cells that are refined, or whose takers are."""
TAKEN: Final = (
    "world_model",
    "world_model_curves",
    "open_loop_quality",
    "open_loop_summary",
    "open_loop_pictures",
    "expert_features",
    "play_features",
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
    found = _joined([_of_cell(table, cell, pages[cell.name]) for cell in cells])
    results = [f"{cell.name}.{kind}" for kind in ("results", "metrics") for cell in cells]
    curves = [f"{maker_of(table, cell).name}.world_model_curves" for cell in cells]
    return found + _page([*results, *curves], [*table.questions, *table.rows, *table.seeds, *pages])


def _joined(parts: Sequence[Pipeline]) -> Pipeline:
    """All nodes once, with the tags of every cell that they are part of: Kedro keeps those of the first."""
    nodes: dict[str, Node] = {}
    for node in (node for part in parts for node in part.nodes):
        same = nodes.setdefault(node.name, node)
        if (same.inputs, same.outputs) != (node.inputs, node.outputs):
            raise ValueError(f"two cells have a node {node.name}, and it is not the same: {same}, {node}")
        nodes[node.name] = node.tag(same.tags)
    return Pipeline(nodes.values())


def _of_cell(table: AblationTable, cell: AblationCell, pages: Iterable[str]) -> Pipeline:
    """A cell under its tags. What others take of it has theirs too, so that each runs by its own name."""
    own = {f"params:{page}": f"params:{PAGES}.{cell.name}.{page}" for page in pages}
    maker = maker_of(table, cell)
    users = [one for one in cells_of_table(table) if maker_of(table, one) == cell]
    refined = [one for one in users if table.rows[one.row].ppo]
    whole = _cell(Variant(cell.name, own, refined=table.rows[cell.row].ppo), shows_play=bool(refined))
    taken = {f"{cell.name}.{name}": f"{maker.name}.{name}" for name in TAKEN}
    made = [node for node in whole.nodes if taken.keys() & set(node.outputs)]
    rest = whole - Pipeline(made)
    if maker != cell:
        read = {name: taken[name] for name in rest.inputs() & taken.keys()}
        return Pipeline(rest, inputs=read, tags=_tags(table, cell))
    read_by = {node.name: refined if node.short_name == PLAY_FEATURES else users for node in made}
    tagged = [node.tag({t for user in read_by[node.name] for t in _tags(table, user)}) for node in made]
    return Pipeline(rest, tags=_tags(table, cell)) + Pipeline(tagged)


def _tags(table: AblationTable, cell: AblationCell) -> list[str]:
    return [TAG, cell.name, cell.row, cell.seed, *table.questions_of(cell.row)]


def _cell(variant: Variant, *, shows_play: bool) -> Pipeline:
    """All of a cell, with the features of play if it or another one needs them."""
    alone = [variant]
    stages = [world_model, features, behavior_cloning, evaluation]
    if variant.refined:
        return Pipeline(stage.create_pipeline(alone) for stage in (*stages, rewards, diagnostics, ppo))
    found = (node for stage in stages for node in stage.create_pipeline(alone).nodes)
    return Pipeline(node for node in found if shows_play or node.short_name != PLAY_FEATURES)


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
            Node(draw_rates, ["params:ablation", "ablation_rates"], "ablation_figures", name="draw_rates"),
            Node(
                render_ablation,
                ["params:ablation", "lineage", *tables, "ablation_figures"],
                ["ablation_report", "ablation_markdown"],
                name="render_ablation",
            ),
        ],
        tags=[TAG, *tags],
    )
