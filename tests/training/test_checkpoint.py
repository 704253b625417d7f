import json

import pytest
import torch

from wam.training import checkpoint as module
from wam.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def made():
    return Checkpoint(
        "thing", {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(True)}, {"x": [1]}, {"n": 2}
    )


def test_round_trip(tmp_path, made):
    save_checkpoint(tmp_path / "c", made)
    back = load_checkpoint(tmp_path / "c")
    assert (back.kind, back.config, back.extra) == (made.kind, made.config, made.extra)
    assert all(torch.equal(back.weights[name], value) for name, value in made.weights.items())
    assert back.digest == made.digest
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["config.json", "weights.safetensors"]


def test_the_digest_follows_weights_and_configuration(made):
    weights = {**made.weights, "a": made.weights["a"] + 1}
    others = [Checkpoint("thing", weights, made.config), Checkpoint("thing", made.weights, {"x": [2]})]
    assert len({made.digest, *(other.digest for other in others)}) == 3


def test_tensors_that_share_memory_can_be_saved(tmp_path):
    base = torch.arange(4.0)
    save_checkpoint(tmp_path / "c", Checkpoint("thing", {"a": base, "b": base, "c": base[:2]}, {}))
    assert load_checkpoint(tmp_path / "c").weights["c"].tolist() == [0, 1]


def test_a_failing_save_leaves_the_old_one(tmp_path, made, monkeypatch):
    save_checkpoint(tmp_path / "c", made)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(module, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path / "c", Checkpoint("thing", {}, {}))
    assert load_checkpoint(tmp_path / "c").digest == made.digest
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_saving_again_replaces(tmp_path, made):
    save_checkpoint(tmp_path / "c", Checkpoint("old", {}, {}))
    save_checkpoint(tmp_path / "c", made)
    assert load_checkpoint(tmp_path / "c").kind == "thing"


def test_another_kind_is_refused(made):
    with pytest.raises(ValueError, match="holds a 'thing', want a 'policy'"):
        made.expect("policy")


def test_a_missing_file_is_named(tmp_path, made):
    save_checkpoint(tmp_path / "c", made)
    (tmp_path / "c" / "weights.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no weights\.safetensors"):
        load_checkpoint(tmp_path / "c")


def test_a_page_that_is_no_checkpoint_is_refused(tmp_path, made):
    save_checkpoint(tmp_path / "c", made)
    (tmp_path / "c" / "config.json").write_text(json.dumps({"kind": "thing"}))
    with pytest.raises(ValueError, match="does not describe a checkpoint"):
        load_checkpoint(tmp_path / "c")


def test_weights_of_another_version_are_refused_by_name_and_change_nothing():
    module, start = torch.nn.Linear(2, 1), torch.zeros(1)
    module.bias.data.copy_(start)
    right = {"weight": torch.ones(1, 2), "bias": torch.ones(1)}
    for wrong, words in (
        ({"weight": right["weight"]}, "lacks bias"),
        ({**right, "gain": start}, "has besides gain"),
        ({**right, "weight": torch.ones(1, 3)}, "in another shape weight"),
    ):
        with pytest.raises(ValueError, match=f"a thing was written by another version.* {words}"):
            Checkpoint("thing", wrong, {}).load_into(module)
        assert torch.equal(module.bias, start)
    Checkpoint("thing", right, {}).load_into(module)
    assert torch.equal(module.weight, right["weight"])
