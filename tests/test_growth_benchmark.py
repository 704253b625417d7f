"""Costs that grow: slopes and extrapolation, and that every stage is measured at toy size."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import growth  # noqa: E402 - a folder beside the package
from benchmarks.growth_page import Cost, Growth, cost_table, far_table, growths  # noqa: E402
from benchmarks.ingest import DATA_SET_FRAMES  # noqa: E402


def costs(cpu, memory, axis="frames"):
    """Costs at 1, 2 and 4 thousand."""
    values = [1e3, 2e3, 4e3][: len(cpu)]
    return [Cost("stage", axis, x, t, t, m, 100.0) for x, t, m in zip(values, cpu, memory, strict=True)]


def test_a_slope_is_the_exponent_of_a_power():
    found = Growth(tuple(costs([1.0, 4.0, 16.0], [200.0, 400.0, 800.0])))
    assert found.cpu_slope == pytest.approx(2.0)
    seconds, in_proportion, memory = found.at(40e3)
    assert (seconds, in_proportion) == pytest.approx((1600.0, 160.0))
    assert memory == pytest.approx(8000.0)


def test_what_does_not_grow_stays_as_it_is():
    found = Growth(tuple(costs([2.0, 2.1, 1.9], [300.0, 310.0, 305.0])))
    assert found.memory_slope is None
    assert found.at(1e6) == pytest.approx((1.9, 1.9, 305.0))
    assert "| constant | constant |" in cost_table([found])[-1]


def test_only_costs_against_frames_are_extrapolated():
    found = growths(costs([1.0, 2.0], [200.0, 300.0]) + costs([1.0, 2.0], [200.0, 300.0], "tasks"))
    assert [growth.costs[0].axis for growth in found] == ["frames", "tasks"]
    header, _, *rows = far_table(found)
    assert f"{DATA_SET_FRAMES:,} frames" in header
    assert len(rows) == 1
    assert rows[0].startswith("| stage | 10.2 min |")  # 2 s for 2 thousand frames


@pytest.mark.slow
def test_every_stage_is_measured_at_toy_size(tmp_path):
    stem, kept = tmp_path / "page" / "growth", []

    def keep(values):
        kept.append(len(values))
        growth.write(stem, {"machine": "toy"}, values, drawn=len(values) == 1)

    def one(point):
        return asdict(growth.measured(point))

    found = growth.measure(growth.TOY, tmp_path, list(growth.AXES), one, keep)
    assert {(cost["stage"], cost["axis"]) for cost in found} == {
        (stage, axis) for stage, axes in growth.AXES.items() for axis in axes
    }
    assert kept == list(range(1, len(found) + 1))
    assert all(cost["cpu"] >= 0 and cost["memory"] > 0 for cost in found)
    assert json.loads(stem.with_suffix(".json").read_text())["costs"] == found
    assert "</svg>" in stem.with_suffix(".svg").read_text()
    assert not list(stem.parent.glob("*.partial"))


@pytest.mark.slow
def test_a_measurement_has_a_process_of_its_own(tmp_path):
    point = {"stage": "classifier", "axis": "tasks", "frames": 60, "tasks": 2, "workers": 1, "width": 1.0}
    cost = growth.fresh_process(point | {"folder": str(tmp_path), "toy": True})
    assert (cost["stage"], cost["value"]) == ("classifier", 2.0)
    assert cost["memory"] >= cost["before"] > 50
