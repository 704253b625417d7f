"""What README and docs tell a reader to type or open exists."""

import re
import tomllib
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from wam.pipeline_registry import register_pipelines
from wam.pipelines.grid import CONDITIONS, cell_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_pipelines_that_are_named_exist() -> None:
    named = re.findall(r"--pipelines ([\w,]+)", TEXT)
    assert named
    for names in named:
        assert set(names.split(",")) <= set(register_pipelines())


def test_cells_that_are_named_exist() -> None:
    named = re.findall(r"--namespaces ([\w.]+)", TEXT)
    assert named
    assert all(namespace in CONDITIONS or cell_of(namespace) for namespace in named)


def test_parameters_that_are_set_exist() -> None:
    base = OmegaConf.merge(*(OmegaConf.load(path) for path in (ROOT / "conf/base").glob("parameters*.yml")))
    assignments = re.findall(r"--params ([\w.]+)=", TEXT)
    assert assignments
    for name in assignments:
        page, _, setting = name.rpartition(".")
        assert setting in (OmegaConf.select(base, page) if page else base), name


def test_environments_that_are_named_exist() -> None:
    for name in re.findall(r"--env (\w+)", TEXT):
        assert (ROOT / "conf" / name).is_dir(), name


def test_paths_that_are_named_exist() -> None:
    for path in re.findall(r"`((?:src|conf|docs|notebooks|benchmarks|tests)/[\w/.-]+)`", TEXT):
        assert (ROOT / path).exists(), path


def test_every_hook_is_described() -> None:
    described = (ROOT / "docs/architecture.md").read_text()
    files = {path.stem for path in (ROOT / "src/wam/hooks").glob("*.py")} - {"__init__", "refusal"}
    assert all(f"`{name}`" in described for name in files)


def test_readme_commands_are_those_of_the_checks() -> None:
    readme, checks = (ROOT / "README.md").read_text(), (ROOT / ".ci/run").read_text()
    assert 'python -m pip install -e ".[test]" && pytest' in readme
    assert 'install -q -e ".[test]"' in checks
    assert "pytest" in checks
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "test" in extras
