"""Every environment is complete, typed, closed, and has a data root of its own."""

from contextlib import nullcontext
from copy import deepcopy
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog
from kedro.validation import ParameterValidationError
from kedro.validation.parameter_validator import ParameterValidator

from wam.contracts import config_from_dict, merged
from wam.datasets import ArtefactDataset, LineageDataset, WorkDirDataset
from wam.hooks.parameters import CONFIGURED, unread
from wam.pipeline_registry import register_pipelines
from wam.pipelines import ablation
from wam.pipelines.ablation.pipeline import PAGES
from wam.pipelines.ablation.table import AblationTable, cell_pages, cells_of_table
from wam.pipelines.grid import BLIND, TASKS, WORLD_MODELS
from wam.pipelines.page_checks import cell_world_model, check_cell, check_pages, check_play
from wam.settings import CONFIG_LOADER_ARGS
from wam.tasks.table import TASK_NAMES
from wam.world_model.config import WorldModelConfig

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ("base", "smoke", "workstation", "gpu", "paper", "test")


def load(environment: str, **runtime_params: Any) -> OmegaConfigLoader:
    return OmegaConfigLoader(
        str(ROOT / "conf"), env=environment, runtime_params=runtime_params, **CONFIG_LOADER_ARGS
    )


@cache
def parameters_of(environment: str) -> dict[str, Any]:
    """As configured; reading them takes long. Copy before changing anything."""
    return dict(load(environment)["parameters"])


@cache
def data_root_of(environment: str) -> str:
    return str(load(environment)["globals"]["data_root"])


def pages_of(environment: str, **runtime_params: Any) -> dict[str, Any]:
    raw = load(environment, **runtime_params)["parameters"] if runtime_params else parameters_of(environment)
    return ParameterValidator(register_pipelines()).validate_raw_params(deepcopy(raw))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_parameters_are_typed_complete_and_fit_together(environment: str) -> None:
    pages = pages_of(environment)
    registered = register_pipelines()
    inputs = {name for one in CONFIGURED for name in registered[one].inputs()}
    read = {name.removeprefix("params:") for name in inputs}
    artefacts = {name for name in inputs if not name.startswith("params:")}
    assert list(unread(parameters_of(environment), read)) == []
    assert {page.split(".")[0] for page in read - artefacts} <= set(pages)
    check_pages(pages)
    if environment != "paper":
        check_play(pages["selection"], pages["play"])
    assert isinstance(pages["world_model"], WorldModelConfig)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_row_of_the_ablation_makes_typed_pages(environment: str) -> None:
    """They are checked before every run, whatever runs: a row that holds in base alone stops all of paper."""
    raw = deepcopy(parameters_of(environment))
    table = config_from_dict(AblationTable, raw["ablation"])
    cells = cell_pages(table, raw)
    found = ParameterValidator({"ablation": ablation.create_pipeline(table, cells)}).validate_raw_params(
        {**raw, PAGES: cells}
    )
    assert set(found[PAGES]) == {cell.name for cell in cells_of_table(table)}
    for name, own in cells.items():
        assert isinstance(cell_world_model({**raw, **own})[0], WorldModelConfig), name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_table_has_its_rows(environment: str) -> None:
    pages = pages_of(environment)
    assert tuple(pages["world_models"]) == WORLD_MODELS
    assert tuple(pages["controls"]) == BLIND
    assert tuple(pages["tasks"]) == TASKS == TASK_NAMES
    assert [row.name for row in pages["tasks"].values()] == list(TASK_NAMES)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_data_roots_are_apart(environment: str) -> None:
    roots = {name: data_root_of(name) for name in ENVIRONMENTS}
    assert len(set(roots.values())) == len(ENVIRONMENTS)
    assert roots[environment].startswith("data")


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_artefact_has_an_entry(environment: str, tmp_path: Path) -> None:
    loader = load(environment, data_root=str(tmp_path))
    catalog = DataCatalog.from_config(loader["catalog"])
    registered = register_pipelines()
    for name in registered["__default__"].datasets() | registered["online"].datasets():
        if name.startswith("params:"):
            continue
        dataset = catalog.get(name)
        assert isinstance(dataset, ArtefactDataset | WorkDirDataset | LineageDataset), name
        if isinstance(dataset, ArtefactDataset):
            assert Path(dataset._filepath).is_relative_to(tmp_path), name
            assert dataset._version or name == "raw_episodes", name
            assert dataset.metadata is not None, name
            assert dataset.metadata["kedro-viz"]["layer"]


@pytest.mark.slow
def test_layers_form_no_cycle(tmp_path: Path) -> None:
    """Kedro-Viz draws no layer at all if one lies both before and behind another."""
    catalog = DataCatalog.from_config(load("base", data_root=str(tmp_path))["catalog"])

    @cache
    def layer_of(name: str) -> str | None:
        metadata = None if name.startswith("params:") else getattr(catalog.get(name), "metadata", None)
        return metadata["kedro-viz"]["layer"] if metadata else None

    for pipeline in register_pipelines().values():
        before: dict[str, set[str]] = {}  # a layer, and those its artefacts are made from
        of_ancestors: dict[str, set[str]] = {}
        for node in pipeline.nodes:  # in the order of data
            layers = {layer_of(name) for name in node.inputs}.union(
                *(of_ancestors.get(name, set()) for name in node.inputs)
            )
            for name in node.outputs:
                of_ancestors[name] = {layer for layer in layers if layer}
                if layer := layer_of(name):
                    before.setdefault(layer, set()).update(of_ancestors[name] - {layer})
        list(TopologicalSorter(before).static_order())


@pytest.mark.slow
def test_no_two_artefacts_share_a_place(tmp_path: Path) -> None:
    catalog = DataCatalog.from_config(load("base", data_root=str(tmp_path))["catalog"])
    names = [
        name for name in register_pipelines()["__default__"].datasets() if not name.startswith("params:")
    ]
    places = [str(getattr(catalog.get(name), "_filepath", name)) for name in names]
    assert len(set(places)) == len(places)


def test_environments_set_only_what_base_has() -> None:
    """A reader of base knows every setting; paper also spells out what is published and a default."""
    base = parameters_of("base")
    for path in (ROOT / "conf").glob("*/parameters*.yml"):
        values = yaml.safe_load(path.read_text()) or {}
        assert set(values) <= set(base), path
        assert path.parent.name == "paper" or _new_keys(values, base) == [], path


def _new_keys(values: dict[str, Any], known: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key, value in values.items():
        if key not in known:
            found.append(key)
        elif isinstance(value, dict) and isinstance(known[key], dict):
            found += _new_keys(value, known[key])
    return found


def test_all_base_parameters_say_what_they_are() -> None:
    silent = [
        f"{path.name}: {line}"
        for path in (ROOT / "conf/base").glob("parameters*.yml")
        for line in path.read_text().splitlines()
        if ": " in line and "#" not in line and path.name not in ("parameters_tasks.yml",)
    ]
    allowed = {"parameters_reporting.yml"}
    assert [line for line in silent if line.split(":")[0] not in allowed] == []


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ParameterValidationError, match="bacth"):
        pages_of("smoke", behavior_cloning={"bacth": 3})


def test_a_wrong_type_is_named() -> None:
    with pytest.raises(ParameterValidationError, match="banana"):
        pages_of("smoke", ppo={"envs": "banana"})


def test_steps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="imagine_steps 7 is not a multiple of act_steps 4"):
        check_pages(pages_of("smoke", ppo={"imagine_steps": 7}))


def test_an_unknown_task_and_another_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown task 'opn_drawer'; did you mean 'open_drawer'"):
        check_pages(pages_of("smoke", tasks={"open_drawer": {"name": "opn_drawer"}}))
    with pytest.raises(ValueError, match=r"set tasks\.open_drawer\.name to open_drawer"):
        check_pages(pages_of("smoke", tasks={"open_drawer": {"name": "close_drawer"}}))


def test_more_starts_than_play_collects_are_refused() -> None:
    pages = pages_of("smoke", selection={"test_starts": 30})
    with pytest.raises(ValueError, match=r"selection.test_starts 30 is above play.test_starts"):
        check_play(pages["selection"], pages["play"])


def test_a_gate_that_cannot_shut_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing would ever stop PPO"):
        check_pages(pages_of("paper", calibration={"beyond": "stop"}))
    check_pages(pages_of("smoke", calibration={"beyond": "stop"}))


def test_where_nothing_is_played_more_may_be_selected() -> None:
    check_pages(pages_of("paper", selection={"demos": 60}))


MUTE: dict[str, Any] = {
    "rssm": {"carries_arm": False, "carries_scene": False, "prior_sees_carried": False},
    "decoder": {"corrects_painted_colors": False},
    "losses": {"proprio_coef": 0.0},
}
"""World-model settings with which imagination says nothing of the arm."""


@pytest.mark.slow
def test_policies_are_not_to_see_what_a_world_model_cannot_imagine() -> None:
    sight = {"policy": {"sees": "features_and_proprio"}}
    check_pages(pages_of("smoke", **sight))
    with pytest.raises(ValueError, match=r"but world model wam and diwa .*proprio_coef above 0"):
        check_pages(pages_of("smoke", **sight, world_model=MUTE))
    rows = {"diwa": {"action_coef": 0.0, "world_model": MUTE}}
    with pytest.raises(ValueError, match=r"but world model diwa decodes"):
        check_pages(pages_of("smoke", **sight, world_models=rows))
    check_pages(pages_of("smoke", policy={"sees": "features"}, world_models=rows))
    blank = MUTE | {"losses": {"proprio_coef": 0.0, "color_coef": 0.0}}
    with pytest.raises(ValueError, match=r"no color and no proprio; .*color_coef and .*proprio_coef above 0"):
        check_pages(pages_of("smoke", policy={"sees": "colors_and_proprio"}, world_model=blank))


def test_a_scene_that_nobody_teaches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"carries_scene is true and world_model_training.scene is absent"):
        check_pages(pages_of("smoke", world_model_training={"scene": None}))


def test_nor_are_those_of_an_ablations_refined_rows() -> None:
    parameters = deepcopy(parameters_of("smoke"))
    changes = {"policy": {"sees": "features_and_proprio"}, "world_model": MUTE}
    row = {"of": "wam", "seeds": ["s1"], "changes": changes}
    for ppo in (False, True):
        rows = {**parameters["ablation"]["rows"], "blind": {**row, "ppo": ppo}}
        table = config_from_dict(AblationTable, {**parameters["ablation"], "rows": rows})
        pages = {**parameters, **cell_pages(table, parameters)["blind-s1"]}
        with pytest.raises(ValueError, match="but world model blind-s1") if ppo else nullcontext():
            check_cell("blind-s1", pages, refined=ppo)
    pages["policy"] = {**pages["policy"], "sees": "colors_and_proprio"}
    check_cell("blind-s1", pages, refined=False)  # real frames have a measured arm
    pages["world_model"]["losses"]["color_coef"] = 0.0
    with pytest.raises(ValueError, match="decodes no color;"):
        check_cell("blind-s1", pages, refined=False)


@pytest.mark.parametrize(
    ("changes", "refined", "message"),
    [
        ({}, True, None),
        ({"ppo": {"imagine_steps": 7}}, True, "imagine_steps 7 is not a multiple"),
        ({"ppo": {"imagine_steps": 7}}, False, None),
        ({"ppo": {"ft_denoising_steps": 21}}, True, "ppo.ft_denoising_steps 21 is above"),
        ({"behavior_cloning": {"demonstrations": 3}}, False, "demonstrations 3 is above selection.demos 2"),
        ({"world_model_training": {"scene": None}}, False, "world_model_training.scene is absent"),
        ({"compute": {"accumulate": 9}}, False, "9 parts"),
    ],
)
def test_a_cell_that_would_fail_late_is_refused(
    changes: dict[str, Any], refined: bool, message: str | None
) -> None:
    pages = merged(parameters_of("smoke"), changes)
    row = {"row": pages["world_models"]["wam"]}
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        check_cell("odd-s1", {**pages, **row}, refined=refined)


def test_world_models_differ_in_the_head_alone() -> None:
    rows = pages_of("base")["world_models"]
    assert rows["wam"].action_coef == 1000.0
    assert rows["diwa"].action_coef == 0.0
