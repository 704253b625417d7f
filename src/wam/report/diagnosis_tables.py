"""Tables of the diagnostics as text for the page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from wam.diagnostics import detection
from wam.diagnostics.calibration import calibration_table
from wam.diagnostics.probes import FEATURES, PROPRIO
from wam.diagnostics.quantities import SCENE, needed_for
from wam.report.cells import Cells
from wam.report.labels import CONTROLS, STAGES, task_title, world_model_title
from wam.report.tables import MISSING, percent, signed_points
from wam.tasks.table import TASK_NAMES

PASS, FAIL = "✓", "✗"
DETECTED: Final = {
    detection.SEEN: "attempts seen",
    detection.IMAGINED: "the same imagined",
    detection.POLICY: "the policy's own",
}


@dataclass(frozen=True)
class Diagnoses:
    """What is known of each world model; a part that was not made is absent.

    Attributes:
        probes: Scores of linear probes.
        policy_probes: What the probes miss on frames that the policies came by.
        drifts: Scores along imagination.
        events: What imagined hands move.
        episodes: Imagined and real episodes of the cloned policies.
        detections: Quality of the judges of success by kind of frame.
        arm_measured: Whether policies are shown the measured arm, which then is no obstacle to them.
    """

    probes: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    policy_probes: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    drifts: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    events: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    episodes: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    detections: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    arm_measured: bool = field(default=False, kw_only=True)

    @property
    def measured(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.probes or self.episodes or self.detections)


def obstacle_table(world_model: str, diagnoses: Diagnoses, cells: Cells, max_gap: float) -> pd.DataFrame:
    """One row a task: baselines, success, and what stands in the way.

    Args:
        world_model: Of which.
        diagnoses: Of all.
        cells: Success by policy and task.
        max_gap: Share beyond which a gap, or belief in failures, is marked.
    """
    probes = diagnoses.probes.get(world_model)
    judged = diagnoses.detections.get(world_model)
    found = None if judged is None else judged[judged["decides"]]
    episodes = diagnoses.episodes.get(world_model)
    gaps = None if episodes is None else calibration_table(episodes).set_index("task")
    lines = []
    for task in TASK_NAMES:
        line = {"task": task_title(task)}
        shown = {**CONTROLS, f"{world_model}.cloned": "cloned", f"{world_model}.selected": STAGES["selected"]}
        for key, title in shown.items():
            cell = cells.get((key, task))
            line[title] = MISSING if cell is None else percent(cell.rate)
        line["not known well enough"] = (
            MISSING if probes is None else unknown(probes, task, arm=not diagnoses.arm_measured)
        )
        line["failures believed"] = _believed(found, task, max_gap)
        line["imagined minus real (points)"] = _gap(gaps, task, max_gap)
        lines.append(line)
    return pd.DataFrame(lines)


def unknown(probes: pd.DataFrame, task: str, *, arm: bool = True) -> str:
    """Quantities that a task turns on and whose probe fails, with score and pass mark.

    Args:
        probes: Scores of linear probes.
        task: The task.
        arm: Whether the policy has to read the arm off the features.
    """
    mine = probes[(probes["reads"] == FEATURES) & probes["quantity"].isin(needed_for(task, arm=arm))]
    failing = []
    for _, row in mine[mine["passes"] == 0].iterrows():
        score, mark = (_score(row[name], row["is_light"]) for name in ("score", "tolerance"))
        failing.append(f"{row['title']} {score} ({mark})")
    return ", ".join(failing) or "nothing"


def _believed(found: pd.DataFrame | None, task: str, limit: float) -> str:
    rows = (
        None if found is None else found[(found["task"] == task) & (found["frames_of"] == detection.POLICY)]
    )
    if rows is None or rows.empty or not int(rows["failed_episodes"].iloc[0]):
        return MISSING
    share, count = float(rows["failed_believed"].iloc[0]), int(rows["failed_episodes"].iloc[0])
    return f"{percent(share)} of {count}" + (f" {FAIL}" if share > limit else "")


def _gap(gaps: pd.DataFrame | None, task: str, limit: float) -> str:
    if gaps is None or task not in gaps.index:
        return MISSING
    row = gaps.loc[[task]].iloc[0]
    interval = f"{signed_points(row['low'])} to {signed_points(row['high'])}"
    return f"{signed_points(row['gap'])} ({interval})" + (f" {FAIL}" if abs(row["gap"]) > limit else "")


def _score(value: float, is_light: bool) -> str:
    if pd.isna(value):
        return MISSING
    return percent(value) if is_light else f"{value:.1f} cm"


def probe_rows(diagnoses: Diagnoses) -> pd.DataFrame:
    """One row a quantity: pass mark, guess, proprioception, and each world model."""
    first = next(iter(diagnoses.probes.values()))
    kinds = {reads: first[first["reads"] == reads].set_index("quantity") for reads in (FEATURES, PROPRIO)}
    one = kinds[FEATURES]
    lights = one["is_light"].tolist()
    columns: dict[str, list[str]] = {"quantity": one["title"].tolist()}
    for title, scores in (
        ("pass mark", one["tolerance"]),
        ("guess", one["constant"]),
        ("proprioception", kinds[PROPRIO]["score"].reindex(one.index)),
    ):
        columns[title] = [_score(value, light) for value, light in zip(scores, lights, strict=True)]
    for name, table in diagnoses.probes.items():
        mine = table[table["reads"] == FEATURES].set_index("quantity").reindex(one.index)
        visited = _on_policy_frames(diagnoses.policy_probes.get(name))
        columns[world_model_title(name)] = [
            f"{_mark(row['passes'])} {_score(row['score'], row['is_light'])}"
            f" ({_score(visited.get(str(quantity), float('nan')), row['is_light'])})"
            for quantity, row in mine.iterrows()
        ]
    return pd.DataFrame(columns)


def _mark(passes: float) -> str:
    return "" if pd.isna(passes) else PASS if passes else FAIL


def _on_policy_frames(table: pd.DataFrame | None) -> dict[str, float]:
    if table is None or table.empty:
        return {}
    sums = table.groupby("quantity").agg({"missed": "sum", "frames": "sum", "is_light": "first"})
    missed = (sums["missed"] / sums["frames"]).tolist()
    return {
        str(name): 1.0 - miss if light else float(miss)
        for name, miss, light in zip(sums.index, missed, sums["is_light"].tolist(), strict=True)
    }


def event_rows(diagnoses: Diagnoses) -> pd.DataFrame:
    """One row a thing: what imagination makes of stretches in which it moves, and of such in which not."""
    first = next(iter(diagnoses.events.values()))
    titles = {quantity.name: quantity.title for quantity in SCENE.values()}
    columns: dict[str, list[str]] = {
        "thing": [
            f"{titles[row['quantity']]} ({row['moved']}, {row['still']})" for _, row in first.iterrows()
        ]
    }
    for name, table in diagnoses.events.items():
        lines = [row for _, row in table.iterrows()]
        title = world_model_title(name)
        columns[f"{title}: moves when moved"] = [_moves(row) for row in lines]
        columns[f"{title}: moves by itself"] = [_moves_alone(row) for row in lines]
    return pd.DataFrame(columns)


def _moves(row: pd.Series) -> str:
    if pd.isna(row["noticed"]):
        return MISSING
    share = percent(row["noticed"])
    return share if row["is_light"] else f"{share} of the way, {row['moved_error']:.1f} cm off"


def _moves_alone(row: pd.Series) -> str:
    if pd.isna(row["made_up"]):
        return MISSING
    share = percent(row["made_up"])
    return share if row["is_light"] else f"{share}, drifts {row['still_error']:.1f} cm"


def calibration_rows(episodes: pd.DataFrame) -> pd.DataFrame:
    """One row a task, as text."""
    table = calibration_table(episodes)
    lines = [
        {
            "task": task_title(row["task"]),
            "real": f"{percent(row['real'])} of {row['starts']}",
            "imagined, by the judge": f"{percent(row['imagined'])} of {row['imagined_episodes']}",
            "imagined, by the probes": percent(row["probed"]),
            "gap (points)": signed_points(row["gap"]),
            "95 % interval": f"{signed_points(row['low'])} to {signed_points(row['high'])}",
        }
        for _, row in table.iterrows()
    ]
    return pd.DataFrame(lines)


def detection_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row a task of one judge: precision and recall on each kind of frame, and failures believed in."""
    lines = []
    for task in TASK_NAMES:
        mine = table[table["task"] == task].set_index("frames_of")
        if mine.empty:
            continue
        line = {"task": task_title(task)}
        for key, title in DETECTED.items():
            line[title] = (
                f"{_two(mine.loc[key, 'precision'])} / {_two(mine.loc[key, 'recall'])}"
                if key in mine.index
                else MISSING
            )
        line["failures believed"] = _believed(table, task, 1.0)
        lines.append(line)
    return pd.DataFrame(lines)


def _two(value: object) -> str:
    number = float(str(value))
    return MISSING if pd.isna(number) else f"{number:.2f}"
