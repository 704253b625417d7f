"""Near misses beside successes of scripted experts, rendered, from sampled starts with seeds of their own.

Classifiers that only saw demonstrations take the arm's pose for success. So experts also stop a stroke
short, press or pull beside, and make the whole motion where the goal state is reached already.

From every start there is one success and every kind of near miss. Were all attempts from sampled starts
failures, and all successes demonstrations, which begin in the midst of play, then a start pose alone would
give the answer away (with the true state for features: recall 0.4 to 0.6 at the LED, 1.0 with a success from
every start). The two sets, ``train`` and ``held_out``, share no start.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from wam.contracts import config
from wam.demonstrations.replay_labels import SegmentLabels, label_recorded
from wam.episodes.calvin_writer import relative_actions
from wam.episodes.loaded import Episodes, episodes_at, rows_of
from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.resize import resize_images
from wam.episodes.rotation import RotationConvention
from wam.parallel.map import Workers, map_pieces
from wam.seeding import numpy_generator
from wam.sim.backends import Table, make_table
from wam.sim.config import SimConfig
from wam.sim.expert_runs import VARIANTS, ExpertRun, Miss, Variant, run_expert
from wam.sim.starts import sample_start
from wam.tasks.starts import Start
from wam.tasks.table import LED, TASK_NAMES
from wam.tasks.table import task as task_called

Role = Literal["train", "held_out"]
ROLES: Final[tuple[Role, ...]] = ("train", "held_out")
SUCCESS_KIND: Final[Variant] = "full"
AFTER_SUCCESS: Final = 10
"""Frames kept after the first success; accepted play segments have up to 16 (docs/published.md, segments)."""

Arrays = Mapping[str, Any]
"""Arrays by name, in memory or lazy (sliced before they are read)."""
RECORDED: Final[RotationConvention] = "extrinsic"
"""How rotations of recorded proprioception are to be read."""


@config
class NearMissConfig:
    """How many attempts are recorded.

    Attributes:
        seed: Of starts and of the attempts' own draws.
        train_starts: Starts per task for training; each gives a success and one attempt per kind.
        held_out_starts: Starts per task for measuring; each gives the same.
        kinds: Kinds of near misses.
        max_steps: Control steps an attempt may take.
    """

    seed: int = Field(ge=0)
    train_starts: int = Field(ge=0)
    held_out_starts: int = Field(ge=1)
    kinds: tuple[Miss, ...] = get_args(Miss)
    max_steps: int = Field(default=72, gt=0)


@dataclass(frozen=True)
class Attempts:
    """Recorded attempts.

    Attributes:
        episodes: One episode per attempt; ``frame_id`` counts frames of the whole recording.
        table: One row per attempt: task, role, kind, episode, start_row and end_row (inclusive rows),
            start_frame and end_frame (inclusive frame ids), so that it also serves as a table of segments.
    """

    episodes: Episodes
    table: pd.DataFrame

    def labels(self) -> SegmentLabels:
        """Oracle labels of every frame from the recorded scenes: these attempts are their own truth."""
        return label_recorded(self.table, self.episodes)


def attempt_starts(simulator: SimConfig, task: str, role: Role, count: int, *, seed: int) -> list[Start]:
    """Starts in which the task is possible; other roles and tasks draw others."""
    rng = numpy_generator(seed, "near_misses", role, task)
    return [sample_start(simulator, rng, task) for _ in range(count)]


def undecidable_kinds(task: str) -> tuple[Variant, ...]:
    """Near misses of a task that end in the very picture of a success.

    A drawer, door or switch that was where it should be before the motion looks the same after it; only a
    memory of the start tells. The LED is toggled: pressing its button in vain leaves it in the other state.
    """
    return () if task_called(task).quantity == LED else ("redundant",)


@dataclass(frozen=True)
class _StartPiece:
    """All attempts from one start."""

    simulator: SimConfig
    start: Start
    task: str
    role: Role
    kinds: tuple[Variant, ...]
    seed: int
    max_steps: int

    def __repr__(self) -> str:
        return f"{self.role} attempts at {self.task}, seed {self.seed}"


def record_attempts(
    simulator: SimConfig,
    page: NearMissConfig,
    *,
    workers: Workers,
    tasks: Sequence[str] = TASK_NAMES,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Run and render all attempts, in parallel, as blocks of arrays in a fixed order (by task).

    Args:
        simulator: The simulator.
        page: How many, with which seed.
        workers: Processes; the result does not depend on it.
        tasks: Tasks to try.

    Yields:
        One block per start. Frame arrays: image_static, image_gripper (64x64), action (from measured poses,
        as in the recordings), proprio, robot_obs, scene_state. Attempt arrays: attempt_task, attempt_role and
        attempt_kind (indices into ``TASK_NAMES``, ``ROLES``, ``VARIANTS``), attempt_frames, attempt_success.
    """
    pieces = []
    for task in tasks:
        for role in ROLES:
            count = page.train_starts if role == "train" else page.held_out_starts
            kinds: tuple[Variant, ...] = (SUCCESS_KIND, *page.kinds)
            starts = attempt_starts(simulator, task, role, count, seed=page.seed)
            seeds = numpy_generator(page.seed, "attempt", role, task).integers(2**31, size=count)
            pieces += [
                _StartPiece(simulator, start, task, role, kinds, int(own), page.max_steps)
                for start, own in zip(starts, seeds, strict=True)
            ]
    yield from map_pieces(
        _record_start, pieces, workers=workers, description="record near misses", unit="start"
    )


def _record_start(piece: _StartPiece) -> dict[str, NDArray[Any]]:
    table = make_table(piece.simulator, render=True)
    try:
        blocks = [_attempt_block(piece, kind, table) for kind in piece.kinds]
    finally:
        table.close()
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _attempt_block(piece: _StartPiece, kind: Variant, table: Table) -> dict[str, NDArray[Any]]:
    run = run_expert(
        piece.simulator,
        piece.start,
        piece.task,
        seed=piece.seed,
        max_steps=piece.max_steps,
        record=True,
        stop_at_success=False,
        variant=kind,
        env=table,
    )
    length = min(len(run.robot_obs), run.steps + 1 + AFTER_SUCCESS) if run.success else len(run.robot_obs)
    block = {name: rows[:length] for name, rows in _frames_of(run).items()}
    return block | {
        "attempt_task": np.array([TASK_NAMES.index(piece.task)]),
        "attempt_role": np.array([ROLES.index(piece.role)]),
        "attempt_kind": np.array([VARIANTS.index(kind)]),
        "attempt_frames": np.array([length]),
        "attempt_success": np.array([run.success]),
    }


def _frames_of(run: ExpertRun) -> dict[str, NDArray[Any]]:
    assert run.image_static is not None, "recorded runs are rendered"
    assert run.image_gripper is not None, "recorded runs are rendered"
    _, measured = relative_actions(run.robot_obs)
    # Nothing follows the last frame: the arm holds still with the gripper as it is.
    hold = np.concatenate([np.zeros(6), run.robot_obs[-1, 14:15]])[None]
    return {
        "image_static": resize_images(run.image_static),
        "image_gripper": resize_images(run.image_gripper),
        "action": np.concatenate([measured, hold]).astype(np.float32),
        "proprio": proprio_from_robot_obs(run.robot_obs, RECORDED),
        "robot_obs": run.robot_obs,
        "scene_state": run.scene_state,
    }


def has_attempts(arrays: Arrays, role: Role) -> bool:
    """Whether any attempt of a role was recorded (none for training, for example, as published)."""
    return bool((np.asarray(arrays["attempt_role"][:]) == ROLES.index(role)).any())


def read_attempts(
    arrays: Arrays,
    *,
    task: str | None = None,
    role: Role | None = None,
    convention: RotationConvention = RECORDED,
) -> Attempts:
    """Attempts from the arrays that :func:`record_attempts` made.

    Args:
        arrays: Arrays by name; only the frames asked for are read from lazy ones.
        task: Attempts at one task only.
        role: Attempts of one role only.
        convention: How rotations in their proprio are to be read; they are recorded as ``RECORDED``.

    Raises:
        ValueError: If there are none.
    """
    columns = {name: np.asarray(arrays[f"attempt_{name}"][:]) for name in ("task", "role", "kind", "frames")}
    first = np.cumsum(columns["frames"]) - columns["frames"]
    wanted = np.ones(len(first), np.bool_)
    if task is not None:
        wanted &= columns["task"] == TASK_NAMES.index(task)
    if role is not None:
        wanted &= columns["role"] == ROLES.index(role)
    if not wanted.any():
        raise ValueError(f"no attempts at {task or 'any task'} for {role or 'any role'} were recorded")
    spans = [
        slice(int(at), int(at + n)) for at, n in zip(first[wanted], columns["frames"][wanted], strict=True)
    ]
    episodes = episodes_at(arrays, spans, rows_of(spans))
    if convention != RECORDED:
        episodes = replace(episodes, proprio=proprio_from_robot_obs(episodes.robot_obs, convention))
    table = pd.DataFrame(
        {
            "task": [TASK_NAMES[i] for i in columns["task"][wanted]],
            "role": [ROLES[i] for i in columns["role"][wanted]],
            "kind": [VARIANTS[i] for i in columns["kind"][wanted]],
            "episode": np.arange(len(spans)),
            "start_row": episodes.episode_start,
            "end_row": episodes.episode_start + episodes.episode_length - 1,
            "start_frame": [span.start for span in spans],
            "end_frame": [span.stop - 1 for span in spans],
        }
    )
    return Attempts(episodes, table)
