"""Old versions go, the latest and their ancestors stay."""

import json
from pathlib import Path

import pytest

from wam.datasets.prune import leftovers, prunable, remove, stored_versions


def save(root: Path, artefact: str, version: str, digest: str, made_from: tuple[str, ...] = ()) -> Path:
    folder = root / artefact / version
    folder.mkdir(parents=True)
    (folder / Path(artefact).name).write_text("content")
    ancestors = {
        f"ancestor {number}": {"version": "?", "digest": one} for number, one in enumerate(made_from)
    }
    (folder / "record.json").write_text(json.dumps({"digest": digest, "bytes": 7, "ancestors": ancestors}))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs; the second repeated the episodes too, but its model is from those of the first."""
    for version in ("run1", "run2", "run3"):
        save(tmp_path, "03_primary/episodes.zarr", version, f"episodes {version}")
    save(tmp_path, "06_models/wam/world_model", "run1", "model 1", ("episodes run1",))
    save(tmp_path, "06_models/wam/world_model", "run2", "model 2", ("episodes run1",))
    save(tmp_path, "06_models/wam/world_model", "run3", "model 3", ("episodes run3",))
    return tmp_path


def names(root: Path, keep: int) -> list[str]:
    return [str(old.folder.relative_to(root)) for old in prunable(stored_versions(root), keep=keep)]


def test_the_latest_and_what_they_were_made_from_stay(root: Path) -> None:
    models = ["06_models/wam/world_model/run1", "06_models/wam/world_model/run2"]
    assert names(root, 1) == ["03_primary/episodes.zarr/run1", "03_primary/episodes.zarr/run2", *models]
    assert names(root, 2) == [
        "06_models/wam/world_model/run1"
    ]  # episodes of run 1 are behind the second model
    assert names(root, 3) == []


def test_only_complete_versions_of_this_environment_count(root: Path) -> None:
    before = names(root, 1)
    (root / "06_models/wam/world_model/run9").mkdir()  # no record: nothing that a run left
    (root / "06_models/wam/.world_model.partial").mkdir()
    save(root, "smoke/06_models/wam/world_model", "run1", "other")
    save(root, "smoke/06_models/wam/world_model", "run2", "other")
    save(root, "06_models/wam/world_model/run3/inside", "run1", "part of an artefact")
    assert names(root, 1) == before


def test_what_lies_behind_a_link_keeps_its_ancestors(root: Path, tmp_path_factory: pytest.TempPathFactory):
    """Features of the first model, on another disk; and a link that leads back to where it is."""
    disk = tmp_path_factory.mktemp("disk")
    save(disk, "features", "run1", "features 1", ("model 1", "episodes run1"))
    (root / "04_feature").mkdir()
    (root / "04_feature/wam").symlink_to(disk)
    (disk / "back").symlink_to(root / "04_feature")
    assert names(root, 1) == ["03_primary/episodes.zarr/run2", "06_models/wam/world_model/run2"]


def test_removing_takes_the_whole_version_and_no_other(root: Path) -> None:
    for old in prunable(stored_versions(root), keep=1):
        remove(old)
    left = sorted(str(path.parent.relative_to(root)) for path in root.rglob("record.json"))
    assert left == ["03_primary/episodes.zarr/run3", "06_models/wam/world_model/run3"]
    assert names(root, 1) == []
    assert not list(root.rglob(".*"))


def test_what_killed_runs_left_is_found(root: Path) -> None:
    left = [root / "03_primary/episodes.zarr/.run4.partial", root / "06_models/wam/world_model/.run1.pruned"]
    for folder in left:
        folder.mkdir()
    (root / "06_models/wam/world_model/run3/.inside.partial").mkdir()  # an artefact's own
    assert list(leftovers(root)) == left


def test_something_must_stay() -> None:
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        prunable([], keep=0)
