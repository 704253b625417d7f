"""One attempt of a scripted expert in the simulator: as a baseline, as a blind control, as a near miss."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM
from wam.seeding import numpy_generator
from wam.sim import constants as c
from wam.sim import geometry as g
from wam.sim import starts
from wam.sim.backends import Table, make_table
from wam.sim.config import SimConfig
from wam.sim.experts import STROKE_ENDS, Attempt, Expert
from wam.sim.frames import frames_of
from wam.sim.layout import Layout
from wam.sim.rules import judged
from wam.tasks.starts import Start
from wam.tasks.table import DRAWER, JOINT_LIMITS, LED, LIGHTBULB, SLIDER, SWITCH, Task
from wam.tasks.table import task as task_named

Miss = Literal["short", "beside", "redundant"]
"""Variants that are meant to fail."""
Variant = Literal["full", Miss]
"""How an attempt is made:

- ``full``: to the end of the stroke.
- ``short``: the stroke is stopped, or the press lifted, before the oracle is satisfied.
- ``beside``: the whole motion displaced so far that it misses.
- ``redundant``: the full motion from a scene in which the goal state is reached already.
"""

VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
"""Recorded near misses name theirs by its place in here."""
MAX_STEPS: Final = 72
"""Control steps an attempt may take (published)."""
STROKE_MARGIN: Final = 0.02
"""Metres that a full stroke goes beyond the threshold: room for the lag of an open-loop replay; a stroke need
not end at a limit, so that openings stay continuous."""
SHORT_FRACTION: Final = (0.2, 0.6)
"""Part of the travel needed for success at which a short stroke stops, drawn uniformly."""
SHORT_SPEED: Final = 0.007
"""Metres per step of a short stroke: a faster hand lets the drawer coast on past the threshold."""
SHORT_PRESS: Final = (-0.012, 0.004)
"""Depth (m) of a short press; negative stops above the button. It toggles at 0.010."""
MISSES: Final[Mapping[int, tuple[float, float]]] = MappingProxyType(
    {DRAWER: (0.055, 0.08), SLIDER: (0.04, 0.06), LIGHTBULB: (0.035, 0.06), LED: (0.045, 0.07)}
)
"""Metres, by the task's quantity, by which a displaced motion passes its object: just beyond the reach of the
fingers. Sideways; on the slider above the knob, because a sideways one would sweep into it."""

FARTHEST: Final = 1.1
"""Of the larger distance of a miss, to which a displaced motion may go."""
ASIDE: Final = 0.02
"""Metres by which a displaced motion is moved along another axis at most."""


@dataclass(frozen=True)
class ExpertRun:
    """What came of one attempt.

    Attributes:
        task: Task name.
        variant: How it was tried.
        success: Whether the task was solved at any step, by the table's own verdict where it has one.
        steps: Control steps until success, or all steps taken.
        start: The start that was used (scene changed for "redundant").
        robot_obs: (T + 1, 15) robot states.
        scene_state: (T + 1, 24) scene states.
        commands: (T, 7) actions as executed.
        image_static: (T + 1, h, w, 3) uint8, None unless recorded.
        image_gripper: (T + 1, h, w, 3) uint8, None unless recorded.
    """

    task: str
    variant: Variant
    success: bool
    steps: int
    start: Start
    robot_obs: NDArray[np.float64]
    scene_state: NDArray[np.float64]
    commands: NDArray[np.float64]
    image_static: NDArray[np.uint8] | None = field(default=None, repr=False)
    image_gripper: NDArray[np.uint8] | None = field(default=None, repr=False)


def run_expert(
    config: SimConfig,
    start: Start,
    task: str,
    *,
    seed: int,
    max_steps: int = MAX_STEPS,
    layout_belief: Layout | None = None,
    record: bool = False,
    stop_at_success: bool = True,
    variant: Variant = "full",
    env: Table | None = None,
) -> ExpertRun:
    """Let the scripted expert try a task from a start.

    Args:
        config: The simulator.
        start: Where to begin; "redundant" first changes its scene so that the goal is reached already.
        task: Task name.
        seed: Seed of the variant's draws (how short, how far beside); "full" draws nothing.
        max_steps: Control steps the attempt may take.
        layout_belief: Blind control: act as if furniture stood here and were open by the mean of the starts
            of this task. The arm itself is still measured.
        record: Keep rendered frames.
        stop_at_success: End the attempt there; else follow the path to its end, the hand's retreat included.
        variant: How the attempt is made.
        env: A table to use again; a new one by default.

    Raises:
        ValueError: Unknown task or variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
    goal = task_named(task)
    if variant == "redundant":
        start = reached_start(start, goal)
    table = env if env is not None else make_table(config, render=record)
    try:
        table.rendering = record
        return _attempted(
            table,
            start,
            goal,
            variant,
            layout_belief,
            seed=seed,
            max_steps=max_steps,
            stop_at_success=stop_at_success,
        )
    finally:
        if env is None:
            table.close()


def _attempted(
    table: Table,
    start: Start,
    goal: Task,
    variant: Variant,
    layout_belief: Layout | None,
    *,
    seed: int,
    max_steps: int,
    stop_at_success: bool,
) -> ExpertRun:
    """One attempt on a table that is there; arguments as those of :func:`run_expert`."""
    first, _ = table.reset(options={"start": start})
    layout, scene = table.layout, first["scene_obs"]
    if layout_belief is not None:
        layout, scene = layout_belief, _believed_scene(scene, goal)
    attempt = draw_attempt(goal, variant, scene, numpy_generator(seed, "near-miss", goal.name, variant))
    expert = Expert(attempt, layout, scene, first["robot_obs"])
    observations, commands, solved = _follow(
        table, expert, first, goal, max_steps=max_steps, stop_at_success=stop_at_success
    )
    frames = frames_of(observations)
    return ExpertRun(
        task=goal.name,
        variant=variant,
        success=solved is not None,
        steps=solved if solved is not None else len(commands),
        start=start,
        robot_obs=frames.robot_obs,
        scene_state=frames.scene_state,
        commands=np.array(commands).reshape(-1, ACTION_DIM),
        image_static=frames.image_static,
        image_gripper=frames.image_gripper,
    )


def _follow(
    table: Table,
    expert: Expert,
    first: dict[str, Any],
    goal: Task,
    *,
    max_steps: int,
    stop_at_success: bool,
) -> tuple[list[dict[str, Any]], list[NDArray[np.float64]], int | None]:
    """Observations, commands, and after how many commands the task was first solved."""
    origin = frames_of([first]).scene_state
    observations = [first]
    commands: list[NDArray[np.float64]] = []
    solved = None
    while len(commands) < max_steps and not expert.finished:
        commands.append(expert.act(observations[-1], table.target_pose))
        observation, *_, info = table.step(commands[-1])
        observations.append(observation)
        if solved is None and judged(goal, origin, frames_of([observation], [info])).item():
            solved = len(commands)
            if stop_at_success:
                break
    return observations, commands, solved


def draw_attempt(
    goal: Task, variant: Variant, scene_state: NDArray[np.float64], rng: np.random.Generator
) -> Attempt:
    """How an expert makes a variant of a task from a scene.

    Args:
        goal: The task.
        variant: How to try it.
        scene_state: (24,) scene state at the start.
        rng: Draws how short or how far beside.
    """
    attempt = Attempt(goal.name)
    if variant == "beside":
        distance, side = rng.uniform(*MISSES[goal.quantity]), rng.choice([-1.0, 1.0])
        x, y, z = distance * (g.SLANT if goal.quantity == SLIDER else np.array([side, 0.0, 0.0]))
        return replace(attempt, offset=(float(x), float(y), float(z)))
    if variant != "short":
        return replace(attempt, stroke_end=full_stroke_end(goal, float(scene_state[goal.quantity])))
    if goal.name not in STROKE_ENDS:
        return replace(attempt, press_depth=float(rng.uniform(*SHORT_PRESS)))
    joint = SWITCH if goal.quantity == LIGHTBULB else goal.quantity
    here = float(scene_state[joint])
    needed = c.SWITCH_TRIGGER - here if goal.is_light else goal.delta
    end = here + needed * float(rng.uniform(*SHORT_FRACTION))
    return replace(attempt, stroke_end=end, stroke_speed=SHORT_SPEED)


def draw_displacement(goal: Task, rng: np.random.Generator) -> tuple[float, float, float]:
    """World offset (m) of a whole motion that may hit or miss: as that of a miss, up to nothing.

    Args:
        goal: The task.
        rng: Draws side and distance.
    """
    distance = FARTHEST * MISSES[goal.quantity][1] * rng.uniform(-1.0, 1.0)
    if goal.quantity == SLIDER:  # never below the knob, where the hand would meet the table
        x, y, z = abs(distance) * g.SLANT + np.array([rng.uniform(-ASIDE, ASIDE), 0.0, 0.0])
        return float(x), float(y), float(z)
    return float(distance), float(rng.uniform(-ASIDE, ASIDE) * 0.75), 0.0


def full_stroke_end(goal: Task, here: float) -> float | None:
    """Joint value (m) at which the stroke of a task that begins at `here` ends: `STROKE_MARGIN` past success.

    None for the lights, which are driven to the end of their switch.
    """
    if goal.is_light:
        return None
    low, high = JOINT_LIMITS[goal.quantity]
    return float(np.clip(here + goal.delta + np.sign(goal.delta) * STROKE_MARGIN, low, high))


def reached_start(start: Start, goal: Task) -> Start:
    """The same start with the goal state of a task reached already: the drawer open, the light on."""
    scene = start.scene_state.copy()
    if goal.is_light:
        scene[goal.quantity] = 1.0 if goal.delta > 0 else 0.0
    if goal.name in STROKE_ENDS:
        joint = SWITCH if goal.quantity == LIGHTBULB else goal.quantity
        scene[joint] = STROKE_ENDS[goal.name]
    return replace(start, scene_state=scene)


def _believed_scene(scene: NDArray[np.float64], goal: Task) -> NDArray[np.float64]:
    """The scene with the task's own joint where it is on average at a start of this task."""
    believed = scene.copy()
    if goal.name in starts.SLIDE_STARTS:
        believed[goal.quantity] = np.mean(starts.SLIDE_STARTS[goal.name])
    elif goal.name in starts.DRAWER_STARTS:
        believed[goal.quantity] = np.mean(starts.DRAWER_STARTS[goal.name])
    elif goal.quantity == LIGHTBULB:
        believed[SWITCH] = np.mean(starts.SWITCH_DOWN if goal.delta > 0 else starts.SWITCH_UP)
    return believed
