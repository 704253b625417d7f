"""A run that trains world models says in what they differ."""

import logging
from types import SimpleNamespace

import pytest
from test_configuration import pages_of

from wam.hooks import ComparisonHooks
from wam.pipeline_registry import register_pipelines


@pytest.mark.parametrize(
    ("environment", "told"), [("smoke", 1), ("paper", 4)], ids=["the head alone", "two recipes"]
)
def test_the_differing_settings_are_printed(
    environment: str, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = ComparisonHooks()
    hooks.after_context_created(SimpleNamespace(params=pages_of(environment)))
    with caplog.at_level(logging.INFO):
        hooks.before_pipeline_run(register_pipelines()["ingest"])
        assert caplog.text == ""
        hooks.before_pipeline_run(register_pipelines()["world_model"])
    lines = [line for line in caplog.text.splitlines() if line.startswith("| world_model")]
    assert len(lines) == told
    assert lines[0] == "| world_model.losses.action_coef | 1000.0 | 0.0 |"
