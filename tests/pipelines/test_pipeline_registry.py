"""Which pipelines there are, and what holds for all of their nodes."""

import pytest

from wam.pipeline_registry import register_pipelines
from wam.pipelines.grid import CONDITIONS, STAGES, TASKS, WORLD_MODELS, cell_of


def test_all_pipelines_are_registered() -> None:
    assert set(register_pipelines()) == {
        *STAGES,
        *WORLD_MODELS,
        "reproduce",
        "shared",
        "verify_episodes",
        "ablation",
        "online",
        "__default__",
    }


def test_everything_needs_nothing_but_parameters() -> None:
    free = {name for name in register_pipelines()["__default__"].inputs() if not name.startswith("params:")}
    assert free == {"work_dir", "lineage"}


def test_reproduce_starts_from_raw_episodes() -> None:
    free = {name for name in register_pipelines()["reproduce"].inputs() if not name.startswith("params:")}
    assert free == {"work_dir", "lineage", "raw_episodes"}


@pytest.mark.parametrize("world_model", WORLD_MODELS)
def test_a_world_models_chain_holds_nothing_of_another(world_model: str) -> None:
    conditions = {
        (node.namespace or world_model).split(".")[0] for node in register_pipelines()[world_model].nodes
    }
    assert conditions == {world_model}


@pytest.mark.parametrize("world_model", WORLD_MODELS)
def test_a_cell_can_be_run_alone(world_model: str) -> None:
    namespace = f"{world_model}.open_drawer"
    cell = register_pipelines()["__default__"].only_nodes_with_namespaces([namespace])
    assert {node.short_name for node in cell.nodes} == {
        "train_reward_classifier",
        "clone_policy",
        "calibrate_policy",
        "finetune_policy",
        "evaluate_policies",
    }


@pytest.mark.parametrize("condition", CONDITIONS)
def test_nothing_of_a_cell_leaves_its_condition(condition: str) -> None:
    """Else the picture of the lineage has a dataset for each of 8 tasks where one could be folded away."""
    whole = register_pipelines()["__default__"]
    mine = whole.only_nodes_with_namespaces([condition])
    read_by_others = {name for node in whole.nodes if node not in mine.nodes for name in node.inputs}
    leaving = mine.outputs() | (mine.all_outputs() & read_by_others)
    assert {name for name in leaving if cell_of(name.rpartition(".")[0])} == set()


def test_cells_are_told_from_other_namespaces() -> None:
    assert cell_of("wam.open_drawer") == ("wam", "open_drawer")
    assert cell_of("input_image-s1.open_drawer") == ("input_image-s1", "open_drawer")
    assert cell_of("wam") is None
    assert cell_of(None) is None
    assert cell_of("wam.no_task") is None


def test_every_condition_and_task_is_evaluated() -> None:
    made = register_pipelines()["evaluation"].all_outputs()
    assert {f"{condition}.{task}.evaluation" for condition in CONDITIONS for task in TASKS} <= made


def test_node_names_say_what_is_done_to_what() -> None:
    for node in register_pipelines()["__default__"].nodes:
        name = node.name.rsplit(".", 1)[-1]
        assert name.islower()
        assert "_" in name
        assert node.func.__doc__, name


def test_once_the_shared_part_is_done_every_cell_can_be_run_alone() -> None:
    pipelines = register_pipelines()
    everything, shared = pipelines["__default__"], pipelines["shared"]
    assert not any(cell_of(node.namespace) for node in shared.nodes)
    made = shared.all_outputs() | {"work_dir"}
    cells = {node.namespace for node in everything.nodes if cell_of(node.namespace)}
    for cell in sorted(cells):
        free = everything.only_nodes_with_namespaces([cell]).inputs()
        assert {name for name in free if not name.startswith("params:")} <= made, cell
