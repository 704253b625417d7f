"""Settings without a reader, or that their page does not allow, are told in the words of the pages."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from kedro.framework.context import KedroContext
from kedro.pipeline import Node, Pipeline
from pydantic import Field, ValidationError, model_validator

from wam.contracts import config, config_from_dict
from wam.hooks import parameters as hook
from wam.hooks.parameters import (
    ParameterHooks,
    WrongParametersError,
    faults,
    in_words,
    row_faults,
    unread,
)
from wam.hooks.refusal import RunRefusedError
from wam.world_model.config import WorldModelConfig

PAGES = {"seed", "world_model", "tasks.open_drawer"}


def test_known_parameters_are_read() -> None:
    assert (
        list(unread({"seed": 1, "world_model": {"any": {"thing": 2}}, "tasks": {"open_drawer": {}}}, PAGES))
        == []
    )


def test_unknown_parameters_are_named() -> None:
    found = unread({"sed": 1, "tasks": {"opne_drawer": {"name": "x"}}}, PAGES)
    assert list(found) == ["sed", "tasks.opne_drawer"]


def test_run_options_are_no_parameters() -> None:
    assert list(unread({"data_root": "elsewhere", "run_name": "x"}, PAGES)) == []


@config
class Optimizer:
    """A page within a page."""

    learning_rate: float = Field(gt=0)


@config
class Page:
    """A page with a rule of its own."""

    steps: int
    optimizer: Optimizer | None = None
    rows: dict[str, Optimizer] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _even(self) -> "Page":
        if self.steps % 2:
            raise ValueError("page.steps is odd; set it to an even number")
        return self


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ({"stpes": 2, "steps": 2}, "page.stpes = 2: there is no such setting (did you mean steps?)"),
        ({"steps": 2, "q": 1}, "page.q = 1: there is no such setting (known: steps, optimizer, rows)"),
        (
            {"steps": 2, "optimizer": {"learning_rate": 1.0, "learning_rat": 2.0}},
            "page.optimizer.learning_rat = 2.0: there is no such setting (did you mean learning_rate?)",
        ),
        (
            {"steps": 2, "optimizer": {"learning_rate": -1.0}},
            "page.optimizer.learning_rate = -1.0: Input should be greater than 0",
        ),
        (
            {"steps": 2, "rows": {"one": {"learning_rate": 1.0, "learning_rat": 2.0}}},
            "page.rows.one.learning_rat = 2.0: there is no such setting (did you mean learning_rate?)",
        ),
        ({"steps": 3}, "page: page.steps is odd; set it to an even number"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_value_and_remedy(page: dict[str, object], line: str) -> None:
    assert list(faults({"page": page}, {"page": Page})) == [line]


def test_what_is_right_or_not_configured_is_passed_over() -> None:
    assert list(faults({"a": {"b": {"steps": 2}}}, {"a.b": Page, "a.c": Page, "d": Page})) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ppo": {"iteratons": 3}}, r"ppo.iteratons = 3: there is no such setting .did you mean iterations"),
        ({"ablation_cells": {"x": {"seed": 2}}}, "nothing reads these parameters:\n  ablation_cells"),
        ({"sed": 3}, "sed .did you mean seed"),
    ],
)
def test_a_run_with_wrong_parameters_is_refused(values: dict[str, Any], message: str) -> None:
    context = cast(KedroContext, SimpleNamespace(config_loader={"parameters": values}))
    with pytest.raises(WrongParametersError, match=message):
        ParameterHooks().after_context_created(context)


ROWS = {
    "world_model": {},
    "world_model_training": {},
    "world_models": {
        "wam": {"action_coef": 1.0, "world_model": {"rssm": {"detr": 3}}},
        "diwa": {"action_coef": 0.0, "world_model_training": {"steps": "zero"}},
    },
}


def test_settings_of_a_row_are_told_as_those_of_its_page() -> None:
    """The pages themselves lack much here; that is theirs to say."""
    assert list(row_faults(ROWS)) == [
        "world_models.wam.world_model.rssm.detr = 3: there is no such setting (did you mean deter?)",
        "world_models.diwa.world_model_training.steps = 'zero': Input should be a valid integer, unable to "
        "parse string as an integer",
    ]
    assert list(row_faults({"world_models": {"wam": {"action_coef": 1.0}, "odd": 3}})) == []
    assert list(row_faults({})) == []
    assert len(list(row_faults({**ROWS, "world_model": 5}))) == 2


def test_a_tag_that_no_node_has_is_refused_beside_one_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [Node(lambda: 1, None, "x", name="n", tags=["wam", "open_drawer"])]
    monkeypatch.setattr(hook, "pipelines", {"some": Pipeline(nodes)})
    ParameterHooks().before_pipeline_run({"pipeline_names": ["some"], "tags": ["wam"]})
    with pytest.raises(RunRefusedError, match=r"no tag 'open_drawers' .did you mean open_drawer"):
        ParameterHooks().before_pipeline_run({"pipeline_names": ["some"], "tags": ["wam", "open_drawers"]})


def test_what_a_page_refuses_elsewhere_is_told_in_the_same_words() -> None:
    with pytest.raises(ValidationError) as found:
        config_from_dict(WorldModelConfig, {"rssm": {"detr": 3}})
    assert "world_model.rssm.detr = 3: there is no such setting (did you mean deter?)" in in_words(
        found.value
    )
    assert "https://" not in in_words(found.value)
    with pytest.raises(ValidationError) as found:
        config_from_dict(Optimizer, {"learning_rate": -1})
    assert in_words(found.value).startswith("Optimizer.learning_rate = -1: Input should be greater than 0")
    assert in_words(ValueError("as it is")) == "as it is"
