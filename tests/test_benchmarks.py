"""The benchmarks' own arithmetic, and that ours runs at toy size; peers are not needed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wam.episodes.ingest_plan import duration

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import (  # noqa: E402 - a folder beside the package
    data_path,
    ingest,
    measure,
    one_by_one,
    ppo,
    world_model,
)
from benchmarks.made_up import made_up_episodes  # noqa: E402
from benchmarks.peers import use_folder  # noqa: E402


def test_a_row_says_whether_its_bar_is_reached():
    row = measure.ratio_row("work", "peer", [2.0, 4.0, 9.0], [1.0, 1.0, 1.0], bar=3.5)
    assert (row.ratio, row.spread, row.mark) == (4.0, (2.0, 9.0), "reached")
    assert measure.Row("work", "peer", 0.5, bar=0.4, at_most=True).mark == "missed"
    assert measure.Row("work", "peer", None, bar=2.0).mark == "not measured"


def test_sides_take_turns():
    calls = []
    seconds = measure.take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert "".join(calls) == "ababab"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_results_are_kept_as_a_page_and_as_data(tmp_path):
    rows = [measure.Row("work", "peer", 2.0, (1.0, 3.0), bar=1.5)]
    page = measure.save(rows, tmp_path, "name", "Title", "How.")
    assert "| work | peer | 2.00x [1.00..3.00] | >= 1.5x | reached |  |" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["rows"][0]["ratio"] == 2.0


def test_ours_runs_at_toy_size():
    model = world_model.build(world_model.TOY)
    before = model.rssm.stoch_in.weight.detach().clone()
    world_model.training_step(model, 2, 3)()
    assert not torch.equal(model.rssm.stoch_in.weight, before)
    world_model.both_ways(model, world_model.observe, 2, 3, model.embed_dim)()


@pytest.mark.slow
def test_many_at_once_and_one_by_one_run_at_toy_size():
    found = one_by_one.rows(one_by_one.TOY, workers=0, turns=1)
    assert [row.work.split()[0].rstrip(",") for row in found] == [
        "featurising",
        "evaluation",
        "classifiers",
        "cloning",
    ]
    assert all(row.ratio is not None for row in found)


def test_frames_one_by_one_give_the_features_of_frames_at_once():
    sizes = one_by_one.TOY
    model, episodes = one_by_one.model_of(sizes), made_up_episodes(sizes.episodes, sizes.frames)
    sides = one_by_one.featurising(sizes)
    plain = sides["plain"]()
    assert plain.shape == (episodes.num_frames, model.feat_dim)
    first = episodes.episode_start
    deter = model.config.rssm.deter
    assert torch.allclose(
        torch.tensor(plain[first, :deter]), torch.tensor(sides["ours"]()[first, :deter]), atol=1e-5
    )


def test_a_wrong_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no networks\.py"):
        use_folder(tmp_path, "networks.py")


@pytest.mark.slow
def test_the_entry_point_lists_the_benchmarks():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "world_model" in done.stdout


@pytest.mark.slow
def test_the_data_path_runs_at_toy_size(tmp_path):
    sizes = ["--frames", "120", "--distinct", "4", "--batch", "3", "--steps", "5", "--turns", "1"]
    args = data_path.parse(sizes)
    path = tmp_path / "raw"
    data_path.make_folder(path, 120, 4)
    args.raw = path
    rows = data_path.measure(args, tmp_path)
    assert [row.against for row in rows] == ["zarr-python", *2 * ["memcpy of the same windows"]]
    assert all(row.ratio > 0 for row in rows)


@pytest.mark.slow
def test_packing_is_measured_and_extrapolated(tmp_path):
    (tmp_path / "scratch").mkdir()
    found = ingest.measure(tmp_path / "scratch", files=40, distinct=4, workers=1)
    assert found.frames == 40
    assert found.raw_bytes > found.packed_bytes > 40 * 1_000
    page = ingest.save(replace(found, seconds=4.0), tmp_path).read_text()
    assert "Measured: 40 files" in page
    assert f"Extrapolated to 611,099 frames, not measured: {duration(61_109.9)} with 1 workers" in page


def test_fine_tuning_runs_at_toy_size():
    ours = ppo.Imagination(world_model.TOY, ppo.TOY, bc_coef=0.1, bc_draws="row")
    targets = ours.learner.targets(ours.roll())
    batch = ppo.minibatch_of_rows(torch.arange(100, 300), 10)
    before = ours.learner.actor.denoiser.trunk.output.weight.detach().clone()
    ppo.our_update(ours.learner, targets, batch)()
    assert not torch.equal(ours.learner.actor.denoiser.trunk.output.weight, before)
