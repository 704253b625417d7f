"""The GPU benchmark's harness: every section at toy size on a CPU, the time it may take, what it imports."""

import json
import sys
from pathlib import Path

import pytest
import torch
from bare_machine import run_module_without

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import gpu  # noqa: E402 - a folder beside the package
from benchmarks.gpu_run import TOY, Figure, Run  # noqa: E402
from benchmarks.gpu_training import flop_per_frame  # noqa: E402


@pytest.fixture
def toy() -> Run:
    return Run(torch.device("cpu"), TOY, toy=True)


@pytest.mark.slow
def test_every_section_runs_at_toy_size_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "BEGAN", gpu.time.monotonic())
    assert gpu.main(["--toy", "--save", str(tmp_path)]) == 0
    (file,) = tmp_path.glob("*-gpu-toy.json")
    content = json.loads(file.read_text())
    assert {figure["section"] for figure in content["figures"]} == set(gpu.SECTIONS)
    assert "no GPU" in content["lines"][0]
    assert not any("FAILED" in line for line in content["lines"])
    assert not list(tmp_path.glob("*.partial"))
    page = file.with_suffix(".md").read_text()
    assert "| fp32 loss against the CPU | 0 relative | <= 1e-05 | reached |" in page


def test_full_size_is_refused_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(gpu.NoGPUError, match="run with --toy"):
        gpu.main([])


def test_what_was_measured_is_there_when_a_later_section_fails(tmp_path, toy):
    def good(_run):
        yield Figure("good", "speed", 2.0, "x", 1.0)
        assert json.loads((tmp_path / "out.json").read_text())["figures"][0]["value"] == 2.0
        yield Figure("good", "again", 0.5, "x", 1.0)

    def bad(_run):
        yield Figure("bad", "first", 1.0)
        raise RuntimeError("the device is gone")

    result = gpu.Result({}, tmp_path / "out")
    sections = {"good": (good, 1.0), "bad": (bad, 1.0), "last": (good, 1.0)}
    assert not gpu.measure(toy, sections, 1e9, result)
    assert [figure.mark for figure in result.figures] == ["reached", "missed", "", "reached", "missed"]
    assert "bad: FAILED with RuntimeError: the device is gone" in (tmp_path / "out.md").read_text()


def test_a_section_whose_time_is_gone_is_skipped_and_one_that_is_late_is_ended(toy, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(gpu.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(gpu, "BEGAN", 0.0)

    def slow(_run):
        for _ in range(10):
            clock[0] += 50.0
            yield Figure("slow", "row", 1.0)

    result = gpu.Result({}, None)
    assert gpu.measure(toy, {"slow": (slow, 1.0), "next": (slow, 1.0), "late": (slow, 1.0)}, 150.0, result)
    assert [len(result.figures), clock[0]] == [3, 150.0]  # each ended by its share of 50 s
    clock[0], result = 120.0, gpu.Result({}, None)
    gpu.measure(toy, {"slow": (slow, 1.0), "next": (slow, 1.0), "late": (slow, 1.0)}, 150.0, result)
    assert result.lines[0] == "slow: skipped, its share of the 2.5 minutes is gone"
    assert [figure.section for figure in result.figures] == ["slow"]  # the last section's


def test_the_work_of_a_frame_is_that_of_its_layers(toy):
    """Against the layers' shapes: backward costs twice the forward pass, less what nobody asks for."""
    depth, deter, stoch, hidden = 2, 8, 16, 8
    sides, channels = (31, 14, 6, 2), (3, depth, 2 * depth, 4 * depth, 8 * depth)
    forward = [2 * 16 * channels[i] * channels[i + 1] * sides[i] ** 2 for i in range(4)]
    encoder = 2 * (3 * sum(forward) - forward[0])
    width = 32 * depth
    fusion = 3 * 2 * 2 * width * width
    inputs, ups = (1, 5, 13, 30), (width, 4 * depth, 2 * depth, depth, 3)
    kernels = (5, 5, 6, 6)
    layers = [2 * ups[i] * ups[i + 1] * kernels[i] ** 2 * inputs[i] ** 2 for i in range(4)]
    decoder = 2 * 3 * sum(layers) + 3 * 2 * (deter + stoch) * width
    inner = stoch * hidden + hidden * 3 * deter + deter * 3 * deter + 2 * (deter * hidden + hidden * stoch)
    rssm = 3 * 2 * (inner + (width + 18) * hidden) + 2 * 2 * 7 * hidden
    assert flop_per_frame(toy) == pytest.approx(encoder + fusion + decoder + rssm, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("block", ["named", "all others"])
def test_it_runs_without_what_a_gpu_machine_lacks(block):
    """Kedro, MLflow, Zarr and PyBullet are never imported; nor is anything that is not listed."""
    done = run_module_without(block, "benchmarks.gpu", ["--toy", "--only", "step", "imagination"])
    assert done.returncode == 0, done.stderr
    assert "step | step B 2, T 4, fp32" in done.stdout
    assert "latent steps" in done.stdout
