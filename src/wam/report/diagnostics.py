"""The section of the page that says why a policy fails."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from wam.diagnostics.calibration import calibration_table, summarise
from wam.diagnostics.probes import FEATURES
from wam.report.cells import Cells, cells_of
from wam.report.diagnosis_tables import (
    Diagnoses,
    calibration_rows,
    detection_rows,
    event_rows,
    obstacle_table,
    probe_rows,
)
from wam.report.diagnostic_plots import plot_calibration, plot_drift, plot_solved_by_step
from wam.report.labels import world_model_title
from wam.report.page import figure, heading, note, paragraph
from wam.report.tables import plain_html

TITLE: Final = "Why a policy fails"
NOT_RUN: Final = (
    "The diagnostics were not run: `kedro run --pipelines diagnostics,reporting` makes this section."
)


def diagnostics_html(diagnoses: Diagnoses, success: pd.DataFrame, *, max_gap: float, seed: int) -> str:
    """The section's content; a note where nothing was diagnosed.

    Args:
        diagnoses: Of all world models.
        success: Table of ``evaluation.success.success_table``: the baselines.
        max_gap: Mean absolute gap that PPO may rest on, as a share.
        seed: Of the draws behind what chance alone makes of the gap.
    """
    if not diagnoses.measured:
        return note(NOT_RUN)
    parts = _verdicts(diagnoses, max_gap, seed)
    parts += _obstacles(diagnoses, cells_of(success), max_gap)
    parts += _knowledge(diagnoses)
    parts += _events(diagnoses)
    parts += _calibration(diagnoses, max_gap)
    parts += _judges(diagnoses)
    return "".join(parts)


def _verdicts(diagnoses: Diagnoses, max_gap: float, seed: int) -> list[str]:
    return [
        paragraph(verdict(name, summarise(calibration_table(rows), max_gap=max_gap, seed=seed)))
        for name, rows in diagnoses.episodes.items()
    ]


def verdict(world_model: str, summary: Mapping[str, float]) -> str:
    """Whether PPO in a world model's imagination may be trusted, in words.

    Args:
        world_model: Its name.
        summary: Of ``diagnostics.calibration.summarise``.
    """
    name = world_model_title(world_model)
    points = {key: 100 * summary[key] for key in ("mean_absolute_gap", "max_gap", "chance_gap", "mean_gap")}
    if summary["trusted"]:
        judgement = f"{name}: imagination is calibrated well enough for PPO."
    elif summary["mean_gap_high"] < 0:
        judgement = f"{name}: imagination is too strict. PPO may gain in it, but it foretells little."
    else:
        judgement = f"{name}: PPO in this imagination cannot be trusted."
    return (
        f"{judgement} From the same starts, imagined success of the cloned policies lies "
        f"{points['mean_absolute_gap']:.0f} points from real success, mean over tasks of the absolute gap "
        f"(limit {points['max_gap']:.0f}; with so few episodes chance alone makes "
        f"{points['chance_gap']:.0f}). With its sign the mean gap is {points['mean_gap']:+.0f} points "
        f"({100 * summary['mean_gap_low']:+.0f} to {100 * summary['mean_gap_high']:+.0f})."
    )


def _obstacles(diagnoses: Diagnoses, cells: Cells, max_gap: float) -> list[str]:
    names = list(dict.fromkeys([*diagnoses.probes, *diagnoses.episodes, *diagnoses.detections]))
    parts = [
        heading("What stands in the way"),
        note(
            "Success from the held-out starts beside its baselines, then what fails: quantities that the "
            "task turns on and that a linear probe of the features cannot read within its tolerance; "
            "failed real episodes that the judge of success believes in; imagined minus real success "
            "from the same starts. Where cloning on the true state fails as well, the world model "
            "alone is not to blame."
        ),
    ]
    for name in names:
        table = obstacle_table(name, diagnoses, cells, max_gap)
        parts += [heading(world_model_title(name)), plain_html(table, numeric=list(table.columns[1:7]))]
    return parts


def _knowledge(diagnoses: Diagnoses) -> list[str]:
    if not diagnoses.probes:
        return []
    one = next(iter(diagnoses.probes.values()))
    facts = one[one["reads"] == FEATURES].iloc[0]
    parts = [
        heading("What the features know"),
        note(
            "Linear probes (ridge) of the features, fitted on training episodes, judged on "
            f"{facts['frames']:,} frames of {facts['episodes']} held-out episodes, each filtered from its "
            "start: mean absolute error, or accuracy of a light. Beside them the best guess of somebody "
            "who sees nothing, and a probe of raw proprioception: what needs no eyes. In brackets, on the "
            "frames that the cloned policies came by."
        ),
        plain_html(probe_rows(diagnoses), numeric=list(probe_rows(diagnoses).columns[1:])),
    ]
    if diagnoses.drifts:
        caption = (
            "The same probes while imagination runs on with true actions. Green: pass mark; grey: guess."
        )
        parts.append(figure(plot_drift(diagnoses.drifts, one), caption))
    return parts


def _events(diagnoses: Diagnoses) -> list[str]:
    if not diagnoses.events:
        return []
    table = event_rows(diagnoses)
    return [
        heading("Do imagined hands move things?"),
        note(
            "Stretches of held-out play, imagined with their true actions. In some a thing is moved; does it "
            "move in imagination? In others it is left alone; does it stay? In brackets how many of each. A "
            "mean over play tells neither: there hardly anything moves."
        ),
        plain_html(table, numeric=list(table.columns[1:])),
    ]


def _calibration(diagnoses: Diagnoses, max_gap: float) -> list[str]:
    if not diagnoses.episodes:
        return []
    parts = [
        heading("Imagined beside real success"),
        note(
            "The cloned policy from the same starts (frames of held-out play and scenes that PPO "
            "practises from), acting alike in both worlds. By the "
            "judge of success: what rewards PPO. By the probes: whether the latent state itself, read "
            "linearly at the end, solves the task. Far above the probes, the judge sees what is not there; "
            "probes far above reality, the dynamics complete motions that fail in the simulator."
        ),
    ]
    for name, rows in diagnoses.episodes.items():
        table = calibration_rows(rows)
        parts += [heading(world_model_title(name)), plain_html(table, numeric=list(table.columns[1:]))]
    parts.append(
        figure(
            plot_calibration(diagnoses.episodes, max_gap),
            f"Marks on the diagonal are believed rightly; the band is {100 * max_gap:.0f} points each way.",
        )
    )
    caption = "Share of episodes solved within so many control steps: real (solid) and imagined (dashed)."
    return [*parts, figure(plot_solved_by_step(diagnoses.episodes), caption)]


def _judges(diagnoses: Diagnoses) -> list[str]:
    if not diagnoses.detections:
        return []
    parts = [
        heading("What the judges of success see"),
        note(
            "Precision / recall by frame on every frame of held-out attempts, seen and imagined with "
            "their own actions, and of real rollouts of the cloned policy, labelled by the oracle; then, "
            "of its failed episodes, those in which the judge fires at any frame. Frames are as frequent "
            "as they come, unlike those of the balanced set above. The classifier learned from labelled "
            "attempts; the readout asks the oracle's rule of the scene that the features carry, or that a "
            "network reads off them."
        ),
    ]
    for name, table in diagnoses.detections.items():
        for judge, found in table.groupby("judge"):
            deciding = ", which decides" if found["decides"].all() else ""
            rows = detection_rows(found)
            title = f"{world_model_title(name)}: {judge}{deciding}"
            parts += [heading(title), plain_html(rows, numeric=list(rows.columns[1:]))]
    return parts
