"""The benchmarks' own arithmetic, and that ours runs at toy size; peers are not needed."""

import json
import subprocess
import sys
import threading
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
    profilers,
    profiles,
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
    torch.testing.assert_close(torch.from_numpy(plain), torch.from_numpy(sides["ours"]()), rtol=0, atol=1e-5)


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


@pytest.mark.slow
def test_profiles_of_five_gains_name_both_forms(tmp_path):
    found = profiles.all_found(toy=True, turns=1)
    assert {one.gain.work.split()[0] for one in found} == {
        "featurising",
        "reading",
        "evaluating",
        "denoising",
        "filtering",
    }
    ratios = [one.row.ratio for one in found]
    assert ratios == sorted(ratios, reverse=True)
    page = profiles.save(found, tmp_path)
    text, data = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    for number, one in enumerate(found):
        assert text.count(f"## {number + 1}. {one.gain.work}") == 1
        assert one.gain.changed in text
        for name, shares in zip(one.gain.names, one.profiles, strict=True):
            assert f"| {name}, " in text
            assert data["profiles"][number][name] == [list(entry) for entry in shares]
            values = [value for _, value in shares]
            assert values == sorted(values, reverse=True)
            assert 0 < sum(values) <= 1 + 1e-9


@pytest.mark.parametrize("other", [1.1, float("nan")])
def test_forms_that_differ_are_no_gain(other):
    def gain(value):
        return profiles.Gain(
            "work", ("plain", "quick"), lambda: [[1.0, 2.0]], lambda: [[value, 2.0]], "", 0.01
        )

    with pytest.raises(AssertionError, match="work: results differ by"):
        profiles.measured(gain(other), turns=1)
    assert profiles.difference([[1.0, 2.0]], [[1.1, 2.0]]) == pytest.approx(0.05)
    assert profiles.difference([[1.0, 2.0]], [[1.0, 2.0]]) == 0


def test_a_profile_of_operations_is_led_by_what_takes_the_time():
    matrix, row = torch.ones(1000, 1000), torch.ones(3)
    shares = dict(profilers.by_operation(lambda: [matrix @ matrix, row + row]))
    assert shares["aten::mm"] > shares["aten::add"] > 0
    assert profilers.OUTSIDE in shares
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="profiles of one thread alone")
def test_a_profile_of_functions_sees_threads_and_leaves_waiting_out():
    numbers = list(range(2_000_000))

    def work():
        thread = threading.Thread(target=sum, args=(numbers,))
        thread.start()
        thread.join()

    (name, share), *rest = profilers.by_function(work)
    assert name == "builtins.sum"
    assert 0.5 < share <= 1
    assert not any("acquire" in name for name, _ in rest)
