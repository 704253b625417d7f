"""Bars of the play table: scripted experts, the blind control, and open-loop replay of recorded labels.

Prints k/N per task. Replay is measured on segments as play stores them: nothing of the recording is used but
robot_obs, scene_obs, layout and rel_actions, and no segment is left out.

    python benchmarks/experts.py --starts 50 --segments 50 --workers 2
"""

import argparse
from functools import partial

import numpy as np

from wam.episodes.calvin_writer import relative_actions
from wam.parallel.map import map_pieces, shutdown_workers
from wam.seeding import numpy_generator
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.expert_runs import run_expert
from wam.sim.layout import MEAN_LAYOUT
from wam.sim.play_config import PlayConfig
from wam.sim.play_episode import record_episode
from wam.sim.replay import replay_actions
from wam.sim.starts import sample_start
from wam.tasks.predicates import succeeded
from wam.tasks.segments import find_segments
from wam.tasks.starts import Start
from wam.tasks.table import TASK_NAMES, TASKS


def try_starts(task: str, starts: int, blind_starts: int, seed: int) -> tuple[list[int], int]:
    """Steps of the successful attempts, and successes of the blind control."""
    config = SimConfig()
    env = PlayTableEnv(config, render=False)
    steps, blind = [], 0
    for i in range(max(starts, blind_starts)):
        start = sample_start(config, numpy_generator(seed, "benchmark", task, i), task)
        if i < starts:
            run = run_expert(config, start, task, seed=i, env=env)
            steps += [run.steps] if run.success else []
        if i < blind_starts:
            blind += run_expert(config, start, task, seed=i, env=env, layout_belief=MEAN_LAYOUT).success
    env.close()
    return steps, blind


def replay_episode(index: int, seed: int) -> list[tuple[str, bool, bool]]:
    """Task, replay success and expert success of every stored segment of one episode of play."""
    config, play = SimConfig(image_size_static=8, image_size_gripper=8), PlayConfig(seed=seed)
    recording = record_episode(config, play, "training", index)
    scene, robot = recording.scene_obs[:-1], recording.robot_obs
    labels = relative_actions(robot)[1]
    rng = numpy_generator(seed, "segments", "training", index)
    env = PlayTableEnv(config, render=False)
    rows = []
    for segment in find_segments(scene, rng, margin_frames=play.margin_frames):
        start = Start(robot[segment.start], scene[segment.start], recording.layout)
        replayed = replay_actions(config, start, labels[segment.start : segment.end + 1], env=env)
        solved = bool(succeeded(TASKS[segment.task], replayed[0], replayed).any())
        rows.append((segment.task, solved, run_expert(config, start, segment.task, seed=0, env=env).success))
    env.close()
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=50, help="random starts per task")
    parser.add_argument("--blind-starts", type=int, default=200, help="the same for the blind control")
    parser.add_argument(
        "--segments", type=int, default=50, help="stored segments per task to replay; 0 for none"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    tries = partial(try_starts, starts=args.starts, blind_starts=args.blind_starts, seed=args.seed)
    results = map_pieces(tries, TASK_NAMES, workers=args.workers, description="experts", unit="task")
    print(f"{'task':<20} {'expert':>8} {'steps p10/50/90/max':>22} {'blind':>8}")
    for task, (steps, blind) in zip(TASK_NAMES, results, strict=True):
        percentiles = "/".join(f"{value:.0f}" for value in np.percentile(steps, [10, 50, 90, 100]))
        print(
            f"{task:<20} {len(steps):>5}/{args.starts} {percentiles:>22} {blind:>5}/{args.blind_starts}",
            flush=True,
        )
    if args.segments:
        _print_replay(args.segments, args.workers, args.seed)
    shutdown_workers()


def _print_replay(wanted: int, workers: int, seed: int) -> None:
    rows: list[tuple[str, bool, bool]] = []
    index = 0
    while min(sum(row[0] == task for row in rows) for task in TASK_NAMES) < wanted:
        pieces = range(index, index + 16)
        replays = map_pieces(
            partial(replay_episode, seed=seed), pieces, workers=workers, description="replay", unit="episode"
        )
        rows += [row for result in replays for row in result]
        index += 16
    print(f"\n{'stored segments':<20} {'replay':>8} {'expert':>8}")
    for task in TASK_NAMES:
        mine = [row for row in rows if row[0] == task]
        print(f"{task:<20} {sum(r[1] for r in mine):>5}/{len(mine)} {sum(r[2] for r in mine):>5}/{len(mine)}")


if __name__ == "__main__":
    main()
