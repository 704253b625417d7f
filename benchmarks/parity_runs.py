"""What one process of the parity measurement does: drive one simulator through a plan or to the moments."""

import collections
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.calvin_moments import constructed_moments
from wam.sim.backends import Table, make_table
from wam.sim.calvin_package import make_official_env, make_official_oracle
from wam.sim.config import SimConfig
from wam.sim.expert_runs import run_expert
from wam.sim.starts import sample_start
from wam.tasks.oracle import ORACLE, tasks_done
from wam.tasks.starts import Start

STEPS = 200
IMAGE_EVERY = 40
"""Steps between compared images."""
NAMES = tuple(ORACLE)
Arrays = dict[str, NDArray[Any]]


def configs(calvin_env: str, assets: str | None) -> tuple[SimConfig, SimConfig]:
    """Pages of the official and of our simulator, with CALVIN's recording sizes of images."""
    data = assets or str(Path(calvin_env) / "data")
    shared: dict[str, Any] = {
        "assets": "calvin",
        "layout": "fixed",
        "calvin_data": data,
        "image_size_static": 200,
        "image_size_gripper": 84,
    }
    return SimConfig(backend="calvin", calvin_env=calvin_env, **shared), SimConfig(**shared)


@dataclass(frozen=True)
class Plan:
    """What every side is given.

    Attributes:
        name: Whose actions they are.
        start: Where to begin.
        actions: (STEPS, 7) relative actions.
    """

    name: str
    start: Start
    actions: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write it for a process that cannot be handed objects."""
        np.savez(path, robot=self.start.robot_obs, scene=self.start.scene_state, actions=self.actions)

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read what `save` wrote."""
        with np.load(path) as archive:
            return cls(path.stem, Start(archive["robot"], archive["scene"]), archive["actions"])


def random_plan(config: SimConfig, seed: int) -> Plan:
    """A random start and actions that lean downwards, so that the arm meets table and blocks."""
    rng = np.random.default_rng([seed, 1])
    actions = np.clip(rng.uniform(-1, 1, (STEPS, 7)) - [0, 0, 0.25, 0, 0, 0, 0], -1, 1)
    actions[:, 6] = np.repeat(rng.choice([-1.0, 1.0], STEPS // 10), 10)
    return Plan(f"random {seed}", sample_start(config, np.random.default_rng(seed)), actions)


def expert_plan(config: SimConfig, task: str) -> Plan:
    """What the scripted expert does for a task, then stillness."""
    start = sample_start(config, np.random.default_rng(7), task)
    run = run_expert(config, start, task, seed=0, max_steps=STEPS, stop_at_success=False)
    actions = np.zeros((STEPS, 7))
    actions[:, 6] = 1.0
    actions[: len(run.commands)] = run.commands
    return Plan(task, start, actions)


def as_flags(done: set[str]) -> list[bool]:
    """Verdicts (34,) in the order of the oracle's table."""
    return [name in done for name in NAMES]


def official_run(config: SimConfig, plan: Plan, *, load_anywhere: bool) -> Arrays:
    """Drive `PlayTableSimEnv` itself: its `reset`, `step` and oracle."""
    env, oracle = make_official_env(config), make_official_oracle(config)
    cameras, env.cameras = env.cameras, []
    if load_anywhere:
        for block in env.scene.object_cfg["movable_objects"].values():
            block.update(initial_pos="any", initial_orn="any")
        env.load()
    seen = env.reset(np.array(plan.start.robot_obs), np.array(plan.start.scene_state))
    before = env.get_info()
    rows: dict[str, list[Any]] = collections.defaultdict(list)

    def keep(step: int, moment: Mapping[str, Any]) -> None:
        rows["robot"].append(seen["robot_obs"])
        rows["scene"].append(seen["scene_obs"])
        rows["verdicts"].append(as_flags(oracle.get_task_info(before, moment)))
        if step % IMAGE_EVERY == 0:
            for camera, name in zip(cameras, ("static", "gripper"), strict=True):
                rows[name].append(camera.render()[0].copy())

    keep(0, before)
    for step, action in enumerate(plan.actions, 1):
        seen, _, _, moment = env.step(action.copy())
        keep(step, moment)
    return {name: np.array(values) for name, values in rows.items()}


def table_run(config: SimConfig, plan: Plan, *, used: bool) -> Arrays:
    """Drive one of our tables; a used one has played another episode before."""
    table = make_table(config, render=False)
    if used:
        other = random_plan(config, 1000)
        table.reset(options={"start": other.start})
        for action in other.actions[:50]:
            table.step(action)
    rows: dict[str, list[Any]] = collections.defaultdict(list)
    table.rendering = True
    seen, _ = table.reset(options={"start": plan.start})
    before = table.get_info()
    for step in range(STEPS + 1):
        table.rendering = step % IMAGE_EVERY == 0
        if step:
            seen = table.step(plan.actions[step - 1])[0]
        rows["robot"].append(seen["robot_obs"])
        rows["scene"].append(seen["scene_obs"])
        rows["verdicts"].append(as_flags(tasks_done(before, table.get_info())))
        for name, image in seen["rgb_obs"].items():
            rows[name.removeprefix("rgb_")].append(image)
    table.close()
    return {name: np.array(values) for name, values in rows.items()}


def moment_run(table: Table, oracle: Any) -> Arrays:
    """Verdicts (n, n, 34) of both oracles on every ordered pair of the constructed moments of a table."""
    moments = [constructed.reach(table) for constructed in constructed_moments()]
    return {
        "official_oracle": np.array(
            [[as_flags(oracle.get_task_info(a, b)) for b in moments] for a in moments]
        ),
        "our_oracle": np.array([[as_flags(tasks_done(a, b)) for b in moments] for a in moments]),
    }


def work(job: Mapping[str, Any]) -> Arrays:
    """What one process measures."""
    official, ours = configs(job["calvin_env"], job["assets"])
    page = ours if job["side"] == "ours" else official
    if job["kind"] == "moments":
        return moment_run(make_table(page, render=False), make_official_oracle(official))
    plan = Plan.load(Path(job["plan"]))
    if job["side"].startswith("official"):
        return official_run(official, plan, load_anywhere=job["side"] != "official")
    return table_run(page, plan, used=job["side"] == "backend")
