"""Trained elsewhere is trained here: the same weights but for rounding, recognised by content, never half."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from bare_machine import run_module_without
from toy_world import LIKE_BASE, tiny_config, tiny_training

from wam.contracts import InputError
from wam.episodes.archive import write_archive
from wam.episodes.statistics import ProprioStatistics
from wam.episodes.store import EpisodeStore
from wam.parallel.stop import allow_work, request_stop
from wam.training.pieces import rounded, widened
from wam.world_model import remote_training
from wam.world_model.model import WorldModel
from wam.world_model.remote import RemotePage, bring_back, read_pages
from wam.world_model.remote_training import main
from wam.world_model.train_parts import WorldModelTask, train_world_model_on


@pytest.fixture
def task(make_store, tmp_path: Path) -> WorldModelTask:
    store: EpisodeStore = make_store()
    statistics = ProprioStatistics.from_stores([store])
    model = tiny_config(**LIKE_BASE)
    page = tiny_training(sequence_steps=3, validation_batches=2, validate_every=6)
    return WorldModelTask(model, page, statistics, store.path, store.path, 3, 1, None, tmp_path / "here")


@pytest.fixture
def job(task: WorldModelTask, tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    store = EpisodeStore(task.training_episodes)
    write_archive(folder / "episodes.npz", store.load(), store.digest)
    (folder / "wam.json").write_text(json.dumps(asdict(page_of(task))))
    return folder


def page_of(task: WorldModelTask) -> RemotePage:
    digest = EpisodeStore(task.training_episodes).digest
    return RemotePage.of(
        task.model,
        task.training,
        task.statistics.to_dict(),
        seed=task.seed,
        stop_after=task.stop_after,
        episodes=digest,
    )


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["named", "all others"])
def test_a_bare_machine_trains_what_this_one_would(
    task: WorldModelTask, job: Path, tmp_path: Path, hidden: str
) -> None:
    done = run_module_without(
        hidden,
        "wam.world_model.remote_training",
        [str(job), str(tmp_path / "out"), "--device", "cpu", "--piece-mib", "0.01"],
    )
    assert (done.returncode, done.stdout) == (0, "wam: trained\n"), done.stderr
    files = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    pieces = [name for name in files if name != "wam.json"]
    assert len(pieces) > 1
    assert max(files[name] for name in pieces) <= 0.01 * 2**20
    checkpoint, history = bring_back(tmp_path / "out", page_of(task))
    model, result = train_world_model_on(task, 1, "cpu")
    want = widened(rounded(model.state_dict()))
    assert checkpoint.weights.keys() == want.keys()
    for name, value in want.items():
        torch.testing.assert_close(checkpoint.weights[name], value, rtol=0, atol=0, msg=name)
    here = [{k: v for k, v in row.items() if "validation" not in k} for row in result.history]
    assert history == here
    assert checkpoint.extra["remote"]["weights"] == "bfloat16"
    assert checkpoint.extra["precision"] == "fp32"
    assert WorldModel.from_checkpoint(checkpoint).device.type == "cpu"


def test_what_was_trained_otherwise_is_refused_and_the_difference_named(
    task: WorldModelTask, job: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="holds no world model"):
        bring_back(out, page_of(task))
    assert main([str(job), str(out), "--device", "cpu"]) == 0
    other = replace(task, training=replace(task.training, steps=13))
    with pytest.raises(InputError, match=r"wam is nearest: training.steps is 12 there, 13 here"):
        bring_back(out, page_of(other))
    with pytest.raises(InputError, match="seed is 3 there, 4 here"):
        bring_back(out, page_of(replace(task, seed=4)))
    again = replace(task, validation_episodes=None, parts=3, work_dir=tmp_path / "elsewhere")
    assert bring_back(out, page_of(again))[0].kind == "world_model"


def test_every_value_of_a_page_counts(task: WorldModelTask) -> None:
    page = page_of(task)
    others = {
        "model": {**page.model, "x": 1},
        "training": {**page.training, "x": 1},
        "statistics": {**page.statistics, "x": 1},
        "seed": 9,
        "stop_after": 9,
        "episodes": "others",
        "code": "others",
    }
    assert set(others) == {field.name for field in fields(page)}
    for name, value in others.items():
        other = replace(page, **{name: value})
        assert other.key != page.key
        assert len(page.differences(other)) == (name != "code")
    assert page.differences(page) == []


def test_minutes_that_are_too_few_leave_nothing_that_counts(
    task: WorldModelTask, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main([str(job), str(whole), "--device", "cpu"]) == 0

    class AtOnce:
        """Rings as soon as it is set, but for the time that the first checkpoint takes."""

        def __init__(self, seconds: float, ring: object) -> None:
            assert (seconds, ring) == (30.0, request_stop)

        def start(self) -> None:
            original = remote_training.train_world_model_on

            def some(some_task, devices, device):
                original(replace(some_task, stop_after=4), devices, device)
                request_stop()
                return original(some_task, devices, device)

            monkeypatch.setattr(remote_training, "train_world_model_on", some)

        def cancel(self) -> None:
            monkeypatch.undo()

    monkeypatch.setattr(remote_training.threading, "Timer", AtOnce)
    try:
        assert main([str(job), str(out), "--device", "cpu", "--minutes", "0.5"]) == 3
    finally:
        allow_work()
    assert "not finished; the same command goes on after step 4" in capsys.readouterr().out
    assert not out.exists()
    assert main([str(job), str(out), "--device", "cpu"]) == 0
    one, other = (bring_back(folder, page_of(task))[0] for folder in (whole, out))
    assert one.digest == other.digest
    assert main([str(job), str(out), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.endswith("wam: was there\n")


def test_a_job_that_does_not_fit_together_is_refused(
    task: WorldModelTask, job: Path, tmp_path: Path, capsys
) -> None:
    with pytest.raises(InputError, match="holds no training"):
        read_pages(tmp_path / "none")
    (job / "other.json").write_text(json.dumps(asdict(replace(page_of(task), episodes="others"))))
    assert main([str(job), str(tmp_path / "out")]) == 1
    assert "not what other wants" in capsys.readouterr().err
    (job / "other.json").write_text("{")
    assert main([str(job), str(tmp_path / "out")]) == 1
    assert "other.json cannot be read" in capsys.readouterr().err
    (job / "other.json").write_text('{"seed": 1}')
    assert main([str(job), str(tmp_path / "out")]) == 1
    assert "other.json is no page of a training, or another version" in capsys.readouterr().err
    (job / "other.json").unlink()
    assert main([str(job), str(tmp_path / "out"), "--device", "cpu", "--accumulate", "9"]) == 1
    assert "cannot be cut into 9 parts" in capsys.readouterr().err


def test_code_must_be_the_same_there_and_is_told_where_it_changed_since(
    task: WorldModelTask, job: Path, tmp_path: Path, capsys, caplog
) -> None:
    old = replace(page_of(task), code="0123456789abcdef")
    (job / "old.json").write_text(json.dumps(asdict(old)))
    assert main([str(job), str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert "old of" in (told := capsys.readouterr().err)
    assert "packed by another version of wam" in told
    (job / "old.json").unlink()
    assert main([str(job), str(tmp_path / "out"), "--device", "cpu"]) == 0
    bring_back(tmp_path / "out", page_of(task))
    assert "another version" not in caplog.text
    bring_back(tmp_path / "out", old)
    assert "wam of" in caplog.text
    assert "another version of wam" in caplog.text


def test_what_is_lost_there_is_made_again(task: WorldModelTask, job: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert main([str(job), str(out), "--device", "cpu"]) == 0
    digest = bring_back(out, page_of(task))[0].digest
    (out / "wam.1-of-1").unlink()
    with pytest.raises(InputError, match=r"lacks wam\.1-of-1; bring all 1 pieces"):
        bring_back(out, page_of(task))
    assert main([str(job), str(out), "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "wam: trained\n" * 2
    assert bring_back(out, page_of(task))[0].digest == digest


@pytest.mark.parametrize("option", ["--minutes", "--devices", "--accumulate", "--piece-mib"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_nothing_is_trained_with_options_that_mean_nothing(option: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(tmp_path / "out"), f"{option}={value}"])
