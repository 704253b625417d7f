"""Play data out of the simulator."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from wam.pipelines.pages import ComputeConfig
from wam.sim.config import SimConfig
from wam.sim.play import PlayConfig
from wam.sim.play import collect_play as collect


def collect_play(
    simulator: SimConfig, config: PlayConfig, compute: ComputeConfig, work_dir: Path
) -> tuple[dict[str, Any], Path]:
    """Scripted play in CALVIN's format; returns what was collected and the finished folder.

    In this order, since they are saved in it: a kill in between leaves the folder where work goes on.
    """
    target = work_dir / "play"
    report = collect(target, simulator, replace(config, workers=compute.processes))
    return asdict(report), target
