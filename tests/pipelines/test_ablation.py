"""The table of an ablation, its cells, and what their results become."""

import copy
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro.pipeline import Node, Pipeline
from pydantic import ValidationError

from wam.contracts import config_from_dict
from wam.hooks.ablation import AblationHooks, WrongTableError
from wam.pipelines.ablation.nodes import compare_rows, draw_rates, hours_of_rows, render_ablation
from wam.pipelines.ablation.pipeline import TAG, create_pipeline
from wam.pipelines.ablation.table import AblationTable, cell_pages, cells_of_table
from wam.pipelines.grid import Variant
from wam.pipelines.page_checks import check_cell
from wam.tasks.table import TASK_NAMES

PARAMETERS: dict[str, Any] = {
    "world_models": {"wam": {"action_coef": 1000.0, "world_model": {"rssm": {"deter": 8}}}, "diwa": {}},
    "policy": {"hidden": 16, "act_steps": 4},
}


def table_of(**rows: dict[str, Any]) -> AblationTable:
    page = {
        "title": "T",
        "bootstrap_seed": 0,
        "seeds": {"s1": 1, "s2": 5},
        "rows": {"wam": {"of": "wam", "seeds": ["s1", "s2"]}, "diwa": {"of": "diwa", "seeds": ["s1", "s2"]}}
        | rows,
        "questions": {"verdict": {"asks": "Is it so?", "baseline": "diwa", "rows": ["wam"]}},
    }
    return config_from_dict(AblationTable, page)


WIDE = {
    "of": "wam",
    "seeds": ["s1"],
    "changes": {"policy": {"hidden": 32}, "world_model": {"rssm": {"hidden": 4}}},
}


def test_a_cell_reads_what_its_row_changes_and_nothing_else() -> None:
    pages = cell_pages(
        table_of(wide=WIDE, light={"of": "wam", "seeds": ["s2"], "action_coef": 1.0}), PARAMETERS
    )
    assert pages["wam-s2"] == {"seed": 5, "row": PARAMETERS["world_models"]["wam"]}
    assert pages["wide-s1"]["policy"] == {"hidden": 32, "act_steps": 4}
    assert pages["wide-s1"]["row"]["world_model"] == {"rssm": {"deter": 8, "hidden": 4}}
    assert pages["light-s2"]["row"]["action_coef"] == 1.0
    assert PARAMETERS["policy"]["hidden"] == 16


def test_a_cell_travels_to_other_processes_whole() -> None:
    cell = Variant("wide-s1", {"params:policy": "params:ablation_cells.wide-s1.policy"}, refined=True)
    there = copy.deepcopy(cell)  # goes by what pickle goes by
    assert (there, there.own, there.refined) == (cell, cell.own, True)


def test_the_first_seeds_of_all_rows_come_first() -> None:
    assert [cell.name for cell in cells_of_table(table_of())] == ["wam-s1", "diwa-s1", "wam-s2", "diwa-s2"]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"of": "wam", "seeds": ["s9"]}, "s9"),
        ({"of": "wam", "seeds": ["s1"], "changes": {"play": {}}}, "play"),
        ({"of": "wam", "seeds": []}, "seeds"),
        ({"of": "wam", "seeds": ["s1"], "sed": 3}, "sed"),
        ({"seeds": ["s1"]}, "either `of` or `models_of`"),
        ({"of": "wam", "models_of": "wam", "seeds": ["s1"]}, "either `of` or `models_of`"),
        ({"models_of": "odd", "seeds": ["s1"]}, r"models_of names odd; known: diwa, wam"),
        ({"models_of": "wam", "seeds": ["s1"], "action_coef": 1.0}, "cannot change action_coef"),
        ({"models_of": "wam", "seeds": ["s1"], "changes": {"features": {}}}, "cannot change features"),
    ],
)
def test_a_wrong_row_is_named(row: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        table_of(odd=row)


def test_an_unknown_world_model_is_named() -> None:
    with pytest.raises(ValueError, match=r"rows.odd.of names dreamer; known: diwa, wam"):
        cell_pages(table_of(odd={"of": "dreamer", "seeds": ["s1"]}), PARAMETERS)


def test_each_cell_has_the_stages_nodes_under_its_own_name() -> None:
    table = table_of(wide=WIDE, refined={"of": "wam", "seeds": ["s1"], "ppo": True})
    pipeline = create_pipeline(table, cell_pages(table, PARAMETERS))
    assert all(TAG in node.tags for node in pipeline.nodes)
    plain = {node.short_name for node in pipeline.filter(tags=["wide-s1"]).nodes}
    assert {"train_world_model", "clone_policy", "evaluate_cloned", "compare_rows"} <= plain
    assert not {"finetune_policy", "featurize_play", "train_scene_readout", "evaluate_policies"} & plain
    refined = {node.short_name for node in pipeline.filter(tags=["refined"]).nodes}
    needed = {"finetune_policy", "train_reward_classifier", "train_scene_readout", "evaluate_policies"}
    assert needed <= refined
    cloning = next(node for node in pipeline.nodes if node.name == "wide-s1.open_drawer.clone_policy")
    assert {"params:ablation_cells.wide-s1.policy", "params:ablation_cells.wide-s1.seed"} <= set(
        cloning.inputs
    )
    other = next(node for node in pipeline.nodes if node.name == "wam-s2.open_drawer.clone_policy")
    assert {"params:policy", "params:ablation_cells.wam-s2.seed"} <= set(other.inputs)
    verdict = pipeline.filter(tags=["verdict"]).nodes
    assert {node.namespace.split("-")[0] for node in verdict if node.namespace} == {"wam", "diwa"}


def test_a_row_can_take_the_world_models_of_another() -> None:
    blind = {"models_of": "wam", "seeds": ["s2"], "changes": {"policy": {"hidden": 32}}}
    table = table_of(blind=blind)
    pages = cell_pages(table, PARAMETERS)
    assert pages["blind-s2"]["row"] == pages["wam-s2"]["row"]
    pipeline = create_pipeline(table, pages)
    alone = pipeline.filter(tags=["blind"])
    made = {node.name for node in alone.nodes if (node.namespace or "").startswith("wam")}
    names = ("train_world_model", "measure_open_loop", "featurize_experts")
    assert made == {f"wam-s2.{name}" for name in names}
    own = {node.short_name for node in alone.nodes if (node.namespace or "").startswith("blind")}
    assert {"clone_policy", "evaluate_cloned"} <= own
    assert not {"train_world_model", "featurize_experts"} & own
    cloning = next(node for node in alone.nodes if node.name == "blind-s2.open_drawer.clone_policy")
    assert {"wam-s2.world_model", "wam-s2.expert_features"} <= set(cloning.inputs)
    page = next(node for node in alone.nodes if node.short_name == "compare_rows")
    assert "wam-s2.world_model_curves" in page.inputs
    assert not [name for name in pipeline.datasets() if name.startswith("blind-s2.world_model")]


def test_what_refined_rows_share_runs_under_the_name_of_each() -> None:
    rows = {name: {"of": "wam", "seeds": ["s1", "s2"], "ppo": True} for name in ("first", "second")}
    table = table_of(**rows, taker={"models_of": "diwa", "seeds": ["s2"], "ppo": True})
    pipeline = create_pipeline(table, cell_pages(table, PARAMETERS))
    for tag in ("first", "second", "second-s2", "s2", "taker"):
        names = {node.short_name for node in pipeline.filter(tags=[tag]).nodes}
        assert {"label_experts", "record_near_misses", "render_imagination_starts"} <= names
    made = {node.name for node in pipeline.nodes if node.short_name == "featurize_play"}
    assert "diwa-s2.featurize_play" in made  # for the taker; diwa itself is not refined
    assert not {"taker-s2.featurize_play", "diwa-s1.featurize_play"} & made
    assert "diwa-s2.featurize_play" not in {node.name for node in pipeline.filter(tags=["diwa"]).nodes}


def test_a_seed_that_the_other_row_lacks_is_named() -> None:
    late = {"of": "wam", "seeds": ["s1"]}
    with pytest.raises(ValidationError, match=r"rows.blind.seeds names s2; known: s1"):
        table_of(late=late, blind={"models_of": "late", "seeds": ["s1", "s2"]})


def test_only_the_cells_of_a_run_can_stop_it() -> None:
    hooks = AblationHooks()
    cloning = {"demonstrations": 5, "steps": 1, "batch": 1, "optimizer": {"learning_rate": 1e-3}}
    pages = {"behavior_cloning": cloning, "selection": {"demos": 2}}
    hooks._checks = {"odd-s1": partial(check_cell, "odd-s1", pages, refined=False)}
    for namespace in ("wam.open_drawer", None):
        hooks.before_pipeline_run(Pipeline([Node(len, "a", "b", name="n", namespace=namespace)]))
    with pytest.raises(WrongTableError, match=r"row of odd-s1: .*demonstrations 5 is above"):
        hooks.before_pipeline_run(Pipeline([Node(len, "a", "b", name="n", namespace="odd-s1.open_drawer")]))


def results(rate: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    lines = [
        (task, "cloned", start, bool(rng.uniform() < rate), 9) for task in TASK_NAMES for start in range(6)
    ]
    return pd.DataFrame(lines, columns=["task", "policy", "start", "success", "steps"])


METRICS = pd.DataFrame({"stage": ["open_loop"], "task": ["all"], "name": ["psnr_mean"], "value": [20.0]})
CURVES = pd.DataFrame({"step": [1, 2], "name": ["validation_image_loss"] * 2, "value": [9.0, 7.0]})
LINEAGE = {
    "ancestors": {
        "wam-s1.world_model": {"version": "v", "digest": "d", "node": "train", "seconds": 3600.0},
        "wam-s1.world_model_curves": {"version": "v", "digest": "d", "node": "train", "seconds": 3601.0},
        "wam-s2.open_drawer.evaluation": {
            "version": "v",
            "digest": "d",
            "node": "evaluate",
            "seconds": 1799.0,
        },
        "training_episodes": {"version": "v", "digest": "d", "node": "pack", "seconds": 100.0},
    }
}


def test_a_node_counts_once_and_shared_work_not_at_all() -> None:
    hours = hours_of_rows(LINEAGE, {"wam-s1": "wam", "wam-s2": "wam", "diwa-s1": "diwa"})
    assert hours.values.tolist() == [["wam", 2, 1.5]]


@pytest.mark.slow
def test_results_become_tables_and_a_page() -> None:
    table = table_of(late={"of": "wam", "seeds": ["s1"]})
    found = [results(0.9, 1), results(0.2, 2), None, results(0.9, 3), results(0.2, 4)]
    measured = [[None if one is None else what for one in found] for what in (METRICS, CURVES)]
    tables = compare_rows(table, LINEAGE, *found, *measured[0], *measured[1])
    rows, rates, differences, quality, hours = tables
    assert rows.groupby("row")["seed"].unique().map(sorted).to_dict() == {"wam": [1, 5], "diwa": [1, 5]}
    assert len(rates) == 2 * (len(TASK_NAMES) + 1)
    verdict = differences.set_index("task").loc["mean"]
    assert verdict["finding"] == "higher"
    assert verdict["difference"] > 0.5
    assert sorted(quality["value"].unique()) == [7.0, 20.0]
    drawn = draw_rates(table, rates)
    assert set(drawn) == {"verdict.svg"}
    assert b"WAM cloning" in drawn["verdict.svg"]
    page, markdown = render_ablation(table, LINEAGE, *tables, drawn)
    assert drawn["verdict.svg"].decode() in page
    assert "Is it so?" in page
    assert "Without results: late." in page
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert "| wam | of wam | cloning |" in markdown
    assert hours["hours"].sum() == 1.5


def test_without_any_result_the_command_is_named() -> None:
    with pytest.raises(ValueError, match="--pipelines ablation"):
        compare_rows(table_of(), {}, *[None] * 12)
