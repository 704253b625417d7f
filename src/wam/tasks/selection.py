"""Which segments become demonstrations, test starts and selection starts.

* ``demo``: segments of the training split, drawn as published.
* ``test``: held-out starts, touched once, at the end. From validation episodes.
* ``selection``: starts that choose among checkpoints while training. From other validation episodes.
"""

import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from wam.contracts import config
from wam.episodes.calvin_format import Annotation
from wam.episodes.store import Episodes
from wam.seeding import numpy_generator
from wam.tasks.starts import Start
from wam.tasks.table import LED, LIGHTBULB, TASK_NAMES

Role = Literal["demo", "test", "selection"]
CheckpointsOn = Literal["selection", "test", "none"]
"""Starts on which checkpoints of PPO are chosen: a role, or none at all."""
SELECTION_EPISODE_EVERY: Final = 4
"""One validation episode in each run of this many gives selection starts, the rest test starts: 10 to 29 per
task."""
PUBLISHED_DRAW_SEED: Final = 42
"""Seed of the published demo draw (docs/published.md, segments)."""
EXPERT_COLUMNS: Final = (
    *("task", "role", "split", "episode"),
    *("start_frame", "end_frame", "start_row", "end_row"),
)


@config
class SelectionConfig:
    """How many segments of each kind a task gets.

    Attributes:
        demos: Demonstrations per task; 50 as published.
        demo_draw: Which of a task's training segments: ``published`` draws with one legacy NumPy stream of
            seed 42 over the tasks in the order of the table, so that each draw depends on the number of
            segments of the tasks before it; ``own`` draws with ``seed`` and the task's name alone.
        test_starts: Test starts per task; 29 on our table, None takes all (CALVIN D: 29 to 33).
        selection_starts: Selection starts per task. With 0 no validation episode is set aside for them, and
            all give test starts, as published.
        seed: Seed of the draw of test and selection starts where there are more than needed.
    """

    demos: Annotated[int, Field(ge=1)] = 50
    demo_draw: Literal["published", "own"] = "published"
    test_starts: Annotated[int, Field(ge=1)] | None = 29
    selection_starts: Annotated[int, Field(ge=0)] = 10
    seed: Annotated[int, Field(ge=0)] = 0


def is_selection_episode(index: int) -> bool:
    """Whether the validation episode at this position gives selection starts (else test starts).

    One of each four neighbours, at a place that changes irregularly, so that no pattern of the recording
    (tasks alternating from episode to episode) can put a task into one of the sets only.

    Args:
        index: Position of the episode in the source folder's list of episodes, from 0.
    """
    run, place = divmod(index, SELECTION_EPISODE_EVERY)
    return place == zlib.crc32(f"selection {run}".encode()) % SELECTION_EPISODE_EVERY


def select_experts(
    training: Episodes,
    validation: Episodes,
    training_annotations: Sequence[Annotation],
    validation_annotations: Sequence[Annotation],
    config: SelectionConfig,
) -> pd.DataFrame:
    """Choose the segments of every task and role.

    Annotations of other tasks are ignored, and so are those that a quarantined frame has cut.

    Args:
        training: Training episodes; images are not needed.
        validation: Validation episodes.
        training_annotations: Task segments of the training folder, in the order of its file.
        validation_annotations: Task segments of the validation folder.
        config: How many of each.

    Returns:
        One row per segment: ``task``, ``role`` (demo, test, selection), ``split``, ``episode`` (index in its
        split), ``start_frame`` and ``end_frame`` (ids, inclusive), ``start_row`` and ``end_row`` (rows,
        inclusive).

    Raises:
        ValueError: If a task has too few segments for a role, naming the task and the counts.
    """
    pool = {
        "training": _locate(training, training_annotations, "training"),
        "validation": _locate(validation, validation_annotations, "validation"),
    }
    demos = _draw_demos(pool["training"], config)
    held_out = _held_out(pool["validation"], config)
    experts: pd.DataFrame = pd.concat([demos, held_out], ignore_index=True)[list(EXPERT_COLUMNS)]
    return experts


def _locate(episodes: Episodes, annotations: Sequence[Annotation], split: str) -> pd.DataFrame:
    """Annotations of the eight tasks as rows of the episodes, in the order of the file."""
    kept = [row for row in annotations if row.task in TASK_NAMES]
    frames = np.array([(row.start, row.end) for row in kept], np.int64).reshape(-1, 2)
    present = episodes.has_frame(frames).all(axis=1)
    rows = np.zeros_like(frames)
    rows[present] = episodes.row_of(frames[present])
    unbroken = present & (rows[:, 1] - rows[:, 0] == frames[:, 1] - frames[:, 0])
    episode = episodes.episode_of(rows)
    unbroken &= episode[:, 0] == episode[:, 1]
    source = np.arange(episodes.num_episodes) if episodes.source_episode is None else episodes.source_episode
    table = pd.DataFrame(
        {
            "task": [row.task for row in kept],
            "split": split,
            "episode": episode[:, 0],
            "source_episode": source[episode[:, 0]],
            "start_frame": frames[:, 0],
            "end_frame": frames[:, 1],
            "start_row": rows[:, 0],
            "end_row": rows[:, 1],
        }
    )
    located: pd.DataFrame = table[unbroken].reset_index(drop=True)
    return located


def _draw_demos(pool: pd.DataFrame, config: SelectionConfig) -> pd.DataFrame:
    """The demonstrations of every task, in the order drawn."""
    stream = np.random.RandomState(PUBLISHED_DRAW_SEED)
    parts = []
    for name in TASK_NAMES:
        mine = pool[pool["task"] == name]
        _require(len(mine), config.demos, name, "training segments", "demos")
        source: np.random.RandomState | np.random.Generator = stream
        if config.demo_draw == "own":
            source = numpy_generator(config.seed, "demos", name)
        parts.append(mine.iloc[source.choice(len(mine), config.demos, replace=False)])
    return pd.concat(parts, ignore_index=True).assign(role="demo")


def _held_out(pool: pd.DataFrame, config: SelectionConfig) -> pd.DataFrame:
    for_selection = pool["source_episode"].map(is_selection_episode).to_numpy(bool)
    for_selection = for_selection & (config.selection_starts > 0)
    parts = []
    for name in TASK_NAMES:
        mine = (pool["task"] == name).to_numpy()
        test = _draw(pool[mine & ~for_selection], config.test_starts, name, "test", config.seed)
        selection = _draw(pool[mine & for_selection], config.selection_starts, name, "selection", config.seed)
        parts += [test, selection]
    return pd.concat(parts, ignore_index=True)


def _draw(pool: pd.DataFrame, count: int | None, task: str, role: Role, seed: int) -> pd.DataFrame:
    """``count`` rows in the order of the file, seeded; all rows when ``count`` is None."""
    wanted = max(1, len(pool)) if count is None else count
    _require(len(pool), wanted, task, f"validation segments for {role}", f"{role}_starts")
    chosen = numpy_generator(seed, "starts", role, task).permutation(len(pool))[:wanted]
    return pool.iloc[np.sort(chosen)].assign(role=role)


def _require(have: int, need: int, task: str, what: str, setting: str) -> None:
    if have < need:
        raise ValueError(
            f"task {task} has {have} {what}, but {need} are needed; record more play or lower {setting} "
            f"to {have}"
        )


def starts_table(experts: pd.DataFrame, validation: Episodes) -> pd.DataFrame:
    """The recorded state at the first frame of every test and selection segment.

    Args:
        experts: Table of :func:`select_experts`.
        validation: Validation episodes; images are not needed.

    Returns:
        One row per start: ``task``, ``role``, ``split``, ``episode``, ``frame_id``, and as lists
        ``robot_obs`` (15), ``scene_state`` (24), ``layout`` (L, or None).
    """
    held_out = experts[experts["role"] != "demo"].reset_index(drop=True)
    rows = held_out["start_row"].to_numpy(np.int64)
    layouts: list[Any] = [None] * len(rows)
    if validation.layout is not None:
        layouts = validation.layout[held_out["episode"].to_numpy(np.int64)].tolist()
    table = held_out[["task", "role", "split", "episode"]].copy()
    table["frame_id"] = held_out["start_frame"]
    table["robot_obs"] = validation.robot_obs[rows].tolist()
    table["scene_state"] = validation.scene_state[rows].tolist()
    table["layout"] = pd.Series(layouts, dtype=object)
    return table


def starts_from_table(table: pd.DataFrame, task: str, role: Role) -> list[Start]:
    """Starts of one task and role, in the order of the table.

    Args:
        table: Table of :func:`starts_table`, also after a round trip through Parquet.
        task: Task name.
        role: ``test`` or ``selection``.

    Returns:
        The starts; lights are rounded to 0 or 1, which CALVIN's simulator insists on.

    Raises:
        ValueError: If the table has none.
    """
    chosen = table[(table["task"] == task) & (table["role"] == role)]
    if chosen.empty:
        counts: dict[Any, int] = table.groupby("role").size().to_dict()
        raise ValueError(
            f"there is no {role} start of task {task!r}; the table has {counts}; run ingest again"
        )
    return [
        Start(
            robot_obs=np.asarray(row.robot_obs, np.float64),
            scene_state=_with_whole_lights(np.array(row.scene_state, np.float64)),
            layout=None if row.layout is None else np.asarray(row.layout, np.float64),
        )
        for row in chosen.itertuples()
    ]


def _with_whole_lights(scene_state: NDArray[np.float64]) -> NDArray[np.float64]:
    scene_state[[LIGHTBULB, LED]] = np.round(scene_state[[LIGHTBULB, LED]])
    return scene_state
