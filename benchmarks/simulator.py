"""Steps per second of the play table on one core, and where the time goes.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks simulator [steps] [--official CALVIN_ENV [--assets DATA]]``.
Times are CPU seconds of this process, so that other load on the machine does not count; the wall-clock rate
is printed beside them. With `--official`, the folder of a checkout of calvin_env, that environment runs in
turns with ours. With `--workers N`, a pool of N processes takes turns with a pool of one, by the clock: that
needs N idle cores.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.measure import verdict
from wam.sim import constants as c
from wam.sim.backends import Table, make_table
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.pool import SimPool
from wam.sim.starts import sample_start

BAR = 200.0
"""Rendered steps per second that one core must reach with both 64x64 cameras."""
PLAIN_BAR = 1_100.0
"""Steps per second without cameras."""
CAMERA_BAR = 3.0
"""Times the time of a step without cameras that both cameras may take at most."""
WORKERS_BAR = 0.9
"""Share of N times the rate of one worker that N workers must reach."""
OFFICIAL_BAR = 7.0
"""Times the rate of calvin_env, with the same renderer and the same sizes of images, that ours must reach."""


def milliseconds(function: Callable[[], object], count: int) -> float:
    """Mean CPU milliseconds of a call."""
    function()
    begin = time.process_time()
    for _ in range(count):
        function()
    return (time.process_time() - begin) / count * 1e3


def drive(env: PlayTableEnv, steps: int) -> tuple[float, float]:
    """CPU and wall seconds for random actions in episodes of 64 steps; resets are not counted."""
    rng = np.random.default_rng(0)
    cpu = wall = 0.0
    for begin in range(0, steps, 64):
        env.reset(seed=begin)
        actions = rng.uniform(-1, 1, (min(64, steps - begin), 7))
        cpu_begin, wall_begin = time.process_time(), time.perf_counter()
        for action in actions:
            env.step(action)
        cpu += time.process_time() - cpu_begin
        wall += time.perf_counter() - wall_begin
    return cpu, wall


def parts(env: PlayTableEnv) -> dict[str, float]:
    """CPU milliseconds of each part of a step, from a calm start."""
    env.reset(seed=0)
    robot, scene, client = env._robot, env._scene, env._client
    substeps = range(c.PHYSICS_STEPS_PER_ACTION)

    def enforce() -> None:
        for _ in substeps:
            scene.enforce_limits()

    return {
        "static camera": milliseconds(env._static_camera.draw, 200),
        "gripper camera": milliseconds(lambda: env._gripper_camera.draw(robot.body, robot.camera_link), 200),
        "physics (8 x 1/240 s)": milliseconds(lambda: [client.stepSimulation() for _ in substeps], 200),
        "joint limits": milliseconds(enforce, 200),
        "inverse kinematics, motors": milliseconds(lambda: robot.act(np.zeros(7)), 200),
        "state vectors": milliseconds(lambda: (robot.observe(), scene.observe()), 200),
    }


def round_seconds(table: Table, actions: np.ndarray) -> float:
    """CPU seconds a step."""
    begin = time.process_time()
    for action in actions:
        table.step(action)
    return (time.process_time() - begin) / len(actions)


def beside_official(calvin_env: str, assets: str | None, *, rounds: int = 6, steps: int = 20) -> None:
    """Print rates of calvin_env and of ours, in turns of a few steps, both cameras 64x64, TinyRenderer."""
    data = assets or str(Path(calvin_env) / "data")
    pages: Mapping[str, SimConfig] = {
        "calvin_env, scene D": SimConfig(
            backend="calvin", calvin_env=calvin_env, calvin_data=data, assets="calvin", layout="fixed"
        ),
        "ours, CALVIN's assets": SimConfig(assets="calvin", layout="fixed", calvin_data=data),
        "ours, own table, varied": SimConfig(),
        "ours, own table, fixed": SimConfig(layout="fixed"),
    }
    tables = {name: make_table(page) for name, page in pages.items()}
    seconds: dict[str, list[float]] = {name: [] for name in pages}
    rng = np.random.default_rng(0)
    for turn in range(rounds):
        actions = rng.uniform(-1, 1, (steps, 7))
        for name, table in tables.items():
            table.reset(seed=turn)
            seconds[name].append(round_seconds(table, actions))
    base = statistics.median(seconds["calvin_env, scene D"])
    print(
        f"{rounds} rounds of {steps} steps in turns, two 64x64 cameras, CPU time: median (slowest, fastest)"
    )
    for name, times in seconds.items():
        slow, middle, fast = (1 / value for value in (max(times), statistics.median(times), min(times)))
        print(f"  {name:26} {middle:6.1f} steps/s ({slow:.1f}, {fast:.1f})  {base * middle:5.1f}x")
    ratio = base / statistics.median(seconds["ours, own table, varied"])
    print(f"{verdict(ratio, OFFICIAL_BAR)}: at least {OFFICIAL_BAR:.0f}x")
    for table in tables.values():
        table.close()


def beside_one_worker(workers: int, *, turns: int = 7, steps: int = 30, tables: int = 4) -> None:
    """Print the rate of a pool of so many workers and of one worker, with as many tables for each worker."""
    counts = {"one": 1, "all": workers}
    rng = np.random.default_rng(0)
    starts = [sample_start(SimConfig(), rng) for _ in range(tables * workers)]
    rates: dict[str, list[float]] = {name: [] for name in counts}
    pools = {name: SimPool(SimConfig(), workers=count) for name, count in counts.items()}
    for _ in range(turns):
        for name, count in counts.items():
            mine = tables * count
            pools[name].reset(starts[:mine], render=True)
            begin = time.perf_counter()
            for _ in range(steps):
                pools[name].step(rng.uniform(-1, 1, (mine, 7)), active=np.ones(mine, bool), render=True)
            rates[name].append(steps * mine / (time.perf_counter() - begin))
    for pool in pools.values():
        pool.close()
    gains = [many / one / workers for one, many in zip(rates["one"], rates["all"], strict=True)]
    share, rate = statistics.median(gains), statistics.median(rates["all"])
    word = verdict(share, WORKERS_BAR)
    print(
        f"{workers} workers: {rate:.0f} steps/s by the clock, {share:.2f} of {workers} times one "
        f"({min(gains):.2f} to {max(gains):.2f} over {turns} turns), {word}: at least {WORKERS_BAR}"
    )


def main(steps: int) -> None:
    """Print the table."""
    env = PlayTableEnv(SimConfig())
    cpu, wall = drive(env, steps)
    print(
        f"both cameras 64x64: {steps / cpu:.0f} steps per CPU second ({steps / wall:.0f} by the clock)",
        end=", ",
    )
    print(f"{verdict(steps / cpu, BAR)}: at least {BAR:.0f}")
    shares = parts(env)
    total = sum(shares.values())
    for name, value in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"  {name:28} {value:6.3f} ms {value / total:6.1%}")
    print(f"  {'reset (world built anew)':28} {milliseconds(lambda: env.reset(seed=1), 30):6.1f} ms")
    env.rendering = False
    plain, _ = drive(env, steps)
    rate, share = steps / plain, (cpu - plain) / plain
    print(
        f"no cameras: {rate:.0f} steps per CPU second, {verdict(rate, PLAIN_BAR)}: at least {PLAIN_BAR:.0f}"
    )
    word = verdict(share, CAMERA_BAR, at_most=True)
    print(f"cameras over the rest: {share:.1f}x, {word}: at most {CAMERA_BAR:.0f}x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("steps", nargs="?", type=int, default=640)
    parser.add_argument("--official", help="folder of a checkout of calvin_env")
    parser.add_argument("--assets", help="its data folder, when it lies elsewhere")
    parser.add_argument("--workers", type=int, help="compare a pool of so many processes with one")
    arguments = parser.parse_args()
    if arguments.workers:
        beside_one_worker(arguments.workers)
    elif arguments.official:
        beside_official(arguments.official, arguments.assets)
    else:
        main(arguments.steps)
