"""The results page: what was compared, how it came out, and what it rests on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import pandas as pd

from wam.evaluation.success import MEAN_ROW
from wam.report.cells import cells_of
from wam.report.comparisons import differences
from wam.report.diagnostics import TITLE as DIAGNOSIS_TITLE
from wam.report.labels import PolicyName, ordered_policies, task_title, world_model_title
from wam.report.page import (
    Page,
    Section,
    cards,
    details,
    figure,
    gallery,
    heading,
    note,
    paragraph,
    picture,
    render,
)
from wam.report.quality import generation_quality, quality_note
from wam.report.tables import MISSING, differences_html, percent, plain_html, published_html, success_html
from wam.tasks.selection import CheckpointsOn
from wam.tasks.table import TASK_NAMES

SUCCESS, LEARNING, IMAGINED = "success", "world_models", "imagined_beside_real"
OPEN_LOOP, POLICIES = "open_loop", "policies"
CAPTIONS: Mapping[str, str] = {
    SUCCESS: "Success from the held-out starts; 95 % intervals (Wilson per task, combined for the mean).",
    LEARNING: "Training of the world models: losses per step.",
    IMAGINED: "While PPO runs: success that the judge sees in imagination (dashed) beside success "
    "in the simulator from the {checkpoints_on} starts, mean over tasks. Where they part, imagination "
    "misleads.",
    OPEN_LOOP: "Prediction from one frame with recorded actions, held-out sequences: mean and one deviation.",
    POLICIES: "Cloning loss and PPO, mean over tasks.",
}
"""Caption of each figure by its name; ``{checkpoints_on}`` names the starts that PPO was evaluated on."""
IMAGINED_ALONE = (
    "While PPO runs: success that the judge sees in imagination, mean over tasks. PPO was not evaluated "
    "in the simulator meanwhile (evaluation.checkpoints_on: none, or ppo.chosen_in: imagination), so the "
    "curves do not show where imagination misleads."
)
"""Caption of ``IMAGINED`` where there is nothing real beside it."""
UNTOUCHED = "which neither training nor selection ever touched."
TOUCHED = (
    "which training never touched; but PPO's checkpoints were chosen on them, as published "
    "(evaluation.checkpoints_on: test), so the rates of selected policies are optimistic."
)


@dataclass(frozen=True)
class Results:
    """Everything that the page shows.

    Attributes:
        title: Headline.
        subtitle: What was measured on what.
        facts: Facts in the band below (seed, versions, commit, ...).
        rows: Evaluation rows, one an episode, of all policies.
        success: Table of ``evaluation.success.success_table``.
        quality: Generation quality of the world models: columns condition, name, value (``psnr_mean``, ...).
        rewards: Quality of the judges of success: columns condition, task, precision, recall and counts.
        replay: Replay success by task: columns task, succeeded, segments, rate.
        figures: SVG text by name.
        diagnosis: Ready HTML of why policies fail (``report.diagnostics.diagnostics_html``).
        strips: Open-loop strips and clips by world model and file name.
        clips: Rollout clips by world model and file name.
        ancestry: Artefact, version and digest of what the page was made from.
        bootstrap_seed: Of the intervals of differences.
        checkpoints_on: Starts on which PPO's checkpoints were chosen; none where no real ones were.
        clips_per_task: Clips shown per world model and task.
    """

    title: str
    subtitle: str
    facts: Mapping[str, str]
    rows: pd.DataFrame
    success: pd.DataFrame
    quality: pd.DataFrame
    rewards: pd.DataFrame
    replay: pd.DataFrame
    figures: Mapping[str, str]
    diagnosis: str
    strips: Mapping[str, Mapping[str, bytes]]
    clips: Mapping[str, Mapping[str, bytes]]
    ancestry: pd.DataFrame
    bootstrap_seed: int
    checkpoints_on: CheckpointsOn
    clips_per_task: int


def results_page(results: Results) -> str:
    """The page as HTML."""
    sections = [
        _success(results),
        _controls(results),
        Section(DIAGNOSIS_TITLE, [results.diagnosis]),
        _imagination(results),
        _rewards(results),
        _world_models(results),
        _rollouts(results),
        _provenance(results),
    ]
    return render(Page(results.title, results.subtitle, results.facts, sections))


def headline(success: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Mean success of every policy, with its interval."""
    cells = cells_of(success)
    means = {policy: cell for (policy, task), cell in cells.items() if task == MEAN_ROW}
    return {
        PolicyName.parse(key).title: (
            percent(means[key].rate),
            f"{means[key].interval}, {means[key].successes} of {means[key].trials}",
        )
        for key in ordered_policies(list(means))
    }


def _plot(results: Results, name: str) -> list[str]:
    alone = name == IMAGINED and results.checkpoints_on == "none"
    caption = IMAGINED_ALONE if alone else CAPTIONS[name].format(checkpoints_on=results.checkpoints_on)
    return [figure(results.figures[name], caption)] if name in results.figures else []


def _success(results: Results) -> Section:
    return Section(
        "Success by task",
        [
            cards(headline(results.success)),
            success_html(results.success),
            note(
                "Successes of trials with the 95 % interval below. Every policy ran from the same held-out "
                f"starts, {TOUCHED if results.checkpoints_on == 'test' else UNTOUCHED}"
            ),
            *_plot(results, SUCCESS),
            heading("Beside the papers"),
            published_html(results.success),
            note("The papers' numbers come from CALVIN D, another data set: for orientation alone."),
        ],
    )


def _controls(results: Results) -> Section:
    table = differences(results.rows, seed=results.bootstrap_seed)
    return Section(
        "Who beats whom",
        [
            paragraph(
                "Differences in mean success between policies that ran from the same starts, with a paired "
                "bootstrap interval, never narrower than so few starts allow. Without a lead over "
                "proprioception alone, a success rate says nothing about the world model."
            ),
            differences_html(table) if len(table) else note("No pair of policies ran from the same starts."),
        ],
    )


def _imagination(results: Results) -> Section:
    parts = [*_plot(results, IMAGINED), *_plot(results, POLICIES)]
    return Section("Imagination and reality", parts or [note("No policy was refined in imagination yet.")])


def _rewards(results: Results) -> Section:
    return Section(
        "Judges of success",
        [
            paragraph(
                "Precision and recall on held-out attempts: every success is paired with a failure at a like "
                "arm pose (a stroke stopped short, a press beside, the motion made where the goal is already "
                "reached). The readout asks the oracle's rule of the scene that the features carry, or that "
                "a network reads off them; the classifier learned from such attempts. The proprio-only one "
                "shows how much the arm's pose gives away. "
                "In brackets, of classifiers: without the failures that one frame cannot tell apart."
            ),
            plain_html(reward_rows(results.rewards)) if len(results.rewards) else note("None is trained."),
        ],
    )


def reward_rows(rewards: pd.DataFrame) -> pd.DataFrame:
    """Precision / recall by task, a column for each condition and judge; decidable frames alone in brackets.

    Args:
        rewards: Columns condition, task, precision, recall; those of decidable frames (``decidable_...``) and
            of the readout (``readout_...``) where there are any.
    """
    table = pd.DataFrame({"task": [*(task_title(task) for task in TASK_NAMES), "mean"]})
    for condition in dict.fromkeys(rewards["condition"]):
        rows = rewards[rewards["condition"] == condition].set_index("task").reindex(TASK_NAMES)
        seeing = condition != "proprio"
        title = world_model_title(condition) if seeing else "proprio-only"
        table[f"{title} classifier"] = [
            f"{seen} ({decidable})"
            for seen, decidable in zip(_pairs(rows, ""), _pairs(rows, "decidable_"), strict=True)
        ]
        if seeing and "readout_precision" in rows:
            table[f"{title} readout"] = _pairs(rows, "readout_")
    return table


def _pairs(rows: pd.DataFrame, prefix: str) -> list[str]:
    """Precision / recall of every row, and of their means."""
    columns = [f"{prefix}precision", f"{prefix}recall"]
    figures = rows.reindex(columns=columns).astype(float)
    means = figures.mean().to_frame().T
    return [
        f"{_two_digits(precision)} / {_two_digits(recall)}"
        for precision, recall in pd.concat([figures, means]).itertuples(index=False)
    ]


def _two_digits(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.2f}"


def _world_models(results: Results) -> Section:
    parts = [*_plot(results, LEARNING), *_plot(results, OPEN_LOOP)]
    if len(results.quality):
        parts += [
            heading("Generation quality"),
            plain_html(generation_quality(results.quality)),
            note(quality_note(results.quality)),
        ]
    for name, files in results.strips.items():
        parts.append(heading(f"{world_model_title(name)}: prediction from one frame"))
        strips = [picture(file, content, "") for file, content in files.items() if file.endswith(".png")]
        moving = [
            picture(file, content, "real above imagined")
            for file, content in files.items()
            if file.endswith(".webp")
        ]
        parts += [*strips[:2], gallery(moving)]
    return Section("World models", parts or [note("No world model was trained yet.")])


def _rollouts(results: Results) -> Section:
    parts = [note("Static camera beside gripper camera, half of real time; green succeeds, red fails.")]
    for name, files in results.clips.items():
        chosen = choose_clips(files, results.clips_per_task)
        pictures = [picture(file, files[file], clip_caption(file)) for file in chosen]
        parts.append(details(f"{world_model_title(name)}: {len(pictures)} rollouts", gallery(pictures)))
    return Section("Rollouts", parts)


def choose_clips(files: Mapping[str, bytes], per_task: int) -> list[str]:
    """Clips of every task, successes and failures in turn, refined policies before cloned ones.

    Args:
        files: By names such as ``open_drawer-selected-03-success.webp``.
        per_task: At most this many of each task.
    """
    chosen: list[str] = []
    for task in TASK_NAMES:
        mine = sorted((name for name in files if name.startswith(f"{task}-")), key=_clip_rank)
        good = [name for name in mine if name.endswith("success.webp")]
        bad = [name for name in mine if name.endswith("failure.webp")]
        turns: Sequence[str] = [name for pair in zip_longest(good, bad) for name in pair if name]
        chosen += turns[:per_task]
    return chosen


def _clip_rank(name: str) -> tuple[bool, str]:
    return "-selected-" not in name, name


def clip_caption(name: str) -> str:
    """What a clip shows, from its file name."""
    task, stage, start, outcome = name.rsplit(".", 1)[0].split("-")
    return f"{task_title(task)}, {stage}, start {int(start)}: {outcome}"


def _provenance(results: Results) -> Section:
    replay = results.replay.assign(
        task=[task_title(task) for task in results.replay["task"]],
        rate=[percent(value) for value in results.replay["rate"]],
    )
    return Section(
        "What this rests on",
        [
            heading("Replay of the demonstrations"),
            paragraph(
                "Recorded relative actions, replayed open loop from the recorded start, judged by the oracle."
            ),
            plain_html(replay, numeric=["succeeded", "segments", "rate"]),
            details(
                "Versions and digests of everything this page was made from", plain_html(results.ancestry)
            ),
        ],
    )
