"""What every catalog type of the project promises."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, DatasetError, Version

from wam import datasets
from wam.datasets import ArtefactDataset
from wam.datasets.artefact import RECORD_NAME
from wam.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Case:
    """One catalog type: two different values, made in a folder, and how to look at what was loaded."""

    type: str
    first: Callable[[Path], Any]
    second: Callable[[Path], Any]
    view: Callable[[Any], Any]


def make_folder(folder: Path, text: str) -> Path:
    made = folder / f"made-{text}"
    made.mkdir(parents=True)
    (made / "a.txt").write_text(text)
    return made


def make_checkpoint(value: float) -> Checkpoint:
    return Checkpoint("test", {"w": torch.full((2,), value)}, {"width": 2}, {})


CASES = [
    Case("JsonDataset", lambda _: {"a": [1, 2]}, lambda _: {"a": [3]}, lambda loaded: loaded),
    Case("TextDataset", lambda _: "ä", lambda _: "b", lambda loaded: loaded),
    Case(
        "TableDataset",
        lambda _: pd.DataFrame({"x": [1, 2]}),
        lambda _: pd.DataFrame({"x": [3]}),
        lambda loaded: loaded["x"].tolist(),
    ),
    Case(
        "ArraysDataset",
        lambda _: {"x": np.arange(3)},
        lambda _: {"x": np.arange(4)},
        lambda loaded: loaded["x"].tolist(),
    ),
    Case("FilesDataset", lambda _: {"a.png": b"1"}, lambda _: {"a.png": b"2"}, dict),
    Case(
        "DirectoryDataset",
        lambda folder: make_folder(folder, "one"),
        lambda folder: make_folder(folder, "two"),
        lambda loaded: (loaded / "a.txt").read_text(),
    ),
    Case(
        "CheckpointDataset",
        lambda _: make_checkpoint(1.0),
        lambda _: make_checkpoint(2.0),
        lambda loaded: (loaded.kind, loaded.config, loaded.weights["w"].tolist()),
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: case.type)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def make(case: Case, tmp_path: Path) -> Callable[..., ArtefactDataset[Any, Any]]:
    def make_one(version: str | None = "v1", **options: Any) -> ArtefactDataset[Any, Any]:
        chosen = None if version is None else Version(None, version)
        dataset: ArtefactDataset[Any, Any] = getattr(datasets, case.type)(
            filepath=tmp_path / "catalog" / "entry", version=chosen, **options
        )
        return dataset

    return make_one


Make = Callable[..., ArtefactDataset[Any, Any]]


def test_every_type_is_in_the_contract() -> None:
    own = {name for name in datasets.__all__ if name.endswith("Dataset")}
    others = {"ArtefactDataset", "EpisodesDataset", "WorkDirDataset", "LineageDataset"}
    assert own - others == {case.type for case in CASES}


def expected(case: Case, value: Any) -> Any:
    if isinstance(value, pd.DataFrame | Checkpoint | Path):
        return case.view(value)
    return {"x": value["x"].tolist()}["x"] if case.type == "ArraysDataset" else value


@pytest.mark.parametrize("version", ["v1", None])
def test_loads_what_was_saved(case: Case, make: Make, tmp_path: Path, version: str | None) -> None:
    value = case.first(tmp_path)
    wanted = expected(case, value)
    make(version).save(value)
    assert case.view(make(version).load()) == wanted


def test_latest_version_is_loaded(case: Case, make: Make, tmp_path: Path) -> None:
    make("v1").save(case.first(tmp_path))
    second = case.second(tmp_path)
    wanted = expected(case, second)
    make("v2").save(second)
    assert case.view(make("v3").load()) == wanted
    assert make("v3").list_versions(full_path=False) == ["v2", "v1"]


def test_a_version_is_never_overwritten(case: Case, make: Make, tmp_path: Path) -> None:
    make("v1").save(case.first(tmp_path))
    with pytest.raises(DatasetError, match="must not exist"):
        make("v1").save(case.second(tmp_path))


def test_nothing_saved_says_so(make: Make) -> None:
    assert not make().exists()
    with pytest.raises(DatasetError):
        make().load()
    assert make().record() == {}


def test_optional_entry_without_versions_loads_none(make: Make) -> None:
    assert make(optional=True).load() is None


def test_failed_save_leaves_nothing(
    case: Case, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make()

    def write_half(path: Path, _: Any) -> None:
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(dataset, "_write", write_half)
    with pytest.raises(DatasetError, match="disk full"):
        dataset.save(case.first(tmp_path))
    assert not dataset.exists()
    assert not any(path.is_file() for path in (tmp_path / "catalog").rglob("*"))


def test_a_save_that_fails_late_takes_nothing_away(
    case: Case, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, dataset = case.first(tmp_path), make()
    wanted = expected(case, value)

    def full(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "_digest", full)
        with pytest.raises(DatasetError, match="disk full"):
            dataset.save(value)
    assert not dataset.exists()
    make().save(value)  # a folder that took hours to make is still there
    assert case.view(make().load()) == wanted


def test_digest_tells_contents_apart(case: Case, make: Make, tmp_path: Path) -> None:
    make("v1").save(case.first(tmp_path))
    make("v2").save(case.first(tmp_path / "again"))
    make("v3").save(case.second(tmp_path))
    digests = [
        json.loads((tmp_path / "catalog/entry" / v / RECORD_NAME).read_text())["digest"]
        for v in ("v1", "v2", "v3")
    ]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 32


def test_record_keeps_the_origin(case: Case, make: Make, tmp_path: Path) -> None:
    dataset = make()
    dataset.set_origin({"node": "make_it"})
    dataset.save(case.first(tmp_path))
    assert make().record()["node"] == "make_it"
    assert make().record()["bytes"] > 0


def test_stale_partial_save_is_swept_away(case: Case, make: Make, tmp_path: Path) -> None:
    partial = tmp_path / "catalog/entry/.v1.partial"
    partial.mkdir(parents=True)
    (partial / "entry").write_text("half")
    make("v1").save(case.first(tmp_path))
    assert make().exists()
    assert not partial.exists()


def test_a_plain_file_in_the_way_is_named(make: Make, tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog/entry").write_text("unversioned")
    with pytest.raises(DatasetError, match=r"versions need a folder|already exists"):
        make().save({})


def test_an_entry_without_versions_replaces_files_but_no_folder(
    case: Case, make: Make, tmp_path: Path
) -> None:
    make(None).save(case.first(tmp_path))
    kept, second = case.view(make(None).load()), case.second(tmp_path)
    if (tmp_path / "catalog/entry").is_file():
        assert make(None).obstacle() is None
        make(None).save(second)
        assert case.view(make(None).load()) != kept
    else:
        with pytest.raises(DatasetError, match="replaces no folder"):
            make(None).save(second)
        assert case.view(make(None).load()) == kept
        assert not isinstance(second, Path) or second.is_dir()


def test_describes_and_pickles(make: Make) -> None:
    dataset = make(metadata={"kedro-viz": {"layer": "raw"}})
    assert "entry" in str(dataset._describe()["filepath"])
    assert pickle.loads(pickle.dumps(dataset)).metadata == dataset.metadata  # noqa: S301 - our own object


def test_comes_out_of_a_catalog_page(case: Case, tmp_path: Path) -> None:
    page = {
        "{name}_entry": {
            "type": f"wam.datasets.{case.type}",
            "filepath": str(tmp_path / "{name}"),
            "versioned": True,
        }
    }
    catalog = DataCatalog.from_config(page)
    value = case.first(tmp_path)
    wanted = expected(case, value)
    catalog.save("some_entry", value)
    assert case.view(catalog.load("some_entry")) == wanted
