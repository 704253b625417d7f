"""Results of all conditions to tables, figures and one page."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from wam.datasets import NamedFiles
from wam.demonstrations.replay_labels import replay_success_table
from wam.diagnostics.config import CalibrationConfig
from wam.evaluation.success import MEAN_ROW, success_table
from wam.pipelines.grid import CONDITIONS, WORLD_MODELS
from wam.pipelines.pages import EvaluationConfig, ReportConfig
from wam.policy.config import DiffusionConfig, Sees
from wam.report import results as page
from wam.report.comparisons import imagined_beside_real
from wam.report.diagnosis_tables import Diagnoses
from wam.report.diagnostics import diagnostics_html
from wam.report.labels import policy_key
from wam.report.plots import plot_curves, plot_imagined_beside_real, plot_open_loop, plot_success
from wam.report.tables import success_markdown
from wam.rl.config import PPOConfig

LOSSES = {
    "image_loss": "image loss",
    "kl_loss": "balanced KL (nats)",
    "action_error": "inverse dynamics error",
}
"""World-model curves that are drawn, if they were recorded."""
POLICY_CURVES = {"loss": "cloning loss", "policy_loss": "PPO policy loss", "approx_kl": "PPO approximate KL"}


def compare_success(*results: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """One table of all episodes, and success by policy and task, as data and as Markdown."""
    parts = [
        rows.assign(policy=[policy_key(condition, stage) for stage in rows["policy"]])
        for condition, rows in zip(CONDITIONS, results, strict=True)
        if rows is not None
    ]
    if not parts:
        raise ValueError("no condition has results yet; run `kedro run --pipelines evaluation` first")
    rows = pd.concat(parts, ignore_index=True)
    success = success_table(rows)
    return rows, success, success_markdown(success)


def average_success(success: pd.DataFrame) -> dict[str, float]:
    """Mean success over the tasks by policy: one figure each, by which whole runs are compared in MLflow."""
    means = success[success["task"] == MEAN_ROW]
    return dict(zip(means["policy"], means["rate"].map(float), strict=True))


def compare_metrics(*metrics: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Final figures of all conditions as one long table, and quality of the judges by condition and task."""
    table = _labelled("condition", CONDITIONS, metrics, ["condition", "stage", "task", "name", "value"])
    rewards = table[table["stage"] == "rewards"]
    wide = rewards.pivot_table(index=["condition", "task"], columns="name", values="value", sort=False)
    return table, wide.reset_index().rename_axis(columns=None)


def compare_world_models(*qualities: pd.DataFrame | None) -> pd.DataFrame:
    """Open-loop quality of all world models by predicted step."""
    return _labelled("world_model", WORLD_MODELS, qualities, ["world_model", "step"])


def _labelled(
    column: str, names: tuple[str, ...], tables: tuple[pd.DataFrame | None, ...], empty: list[str]
) -> pd.DataFrame:
    parts = [
        table.assign(**{column: name}) for name, table in zip(names, tables, strict=True) if table is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=empty)


def draw_figures(
    success: pd.DataFrame, open_loop: pd.DataFrame, *tables: pd.DataFrame | None
) -> dict[str, bytes]:
    """All plots as SVG; those without data are left out."""
    of_models = _labelled("world_model", WORLD_MODELS, tables[: len(WORLD_MODELS)], ["world_model", "name"])
    of_cells = _labelled(
        "world_model", WORLD_MODELS, tables[len(WORLD_MODELS) :], ["world_model", "name", "stage"]
    )
    real = imagined_beside_real(of_cells)
    drawn = {page.SUCCESS: plot_success(success)}
    if len(of_models):
        drawn[page.LEARNING] = plot_curves(of_models, list(LOSSES), list(LOSSES.values()))
    if len(real):
        drawn[page.IMAGINED] = plot_imagined_beside_real(real)
    if len(of_cells):
        drawn[page.POLICIES] = plot_curves(of_cells, list(POLICY_CURVES), list(POLICY_CURVES.values()))
    if len(open_loop):
        drawn[page.OPEN_LOOP] = plot_open_loop(open_loop)
    return {f"{name}.svg": svg.encode() for name, svg in drawn.items()}


def diagnose(
    calibration: CalibrationConfig,
    policy: DiffusionConfig,
    config: ReportConfig,
    success: pd.DataFrame,
    *tables: pd.DataFrame | None,
) -> str:
    """Why policies fail, as a part of the page; of the world models that were diagnosed."""
    count = len(WORLD_MODELS)
    kinds = [
        {
            name: table
            for name, table in zip(WORLD_MODELS, tables[place : place + count], strict=True)
            if table is not None and len(table)
        }
        for place in range(0, len(tables), count)
    ]
    diagnoses = Diagnoses(*kinds, arm_measured=policy.sees_arm)
    return diagnostics_html(diagnoses, success, max_gap=calibration.max_gap, seed=config.bootstrap_seed)


SEEN: Final[Mapping[Sees, str]] = {
    "features": "features",
    "features_and_proprio": "features, measured arm",
    "colors_and_proprio": "colours read from features, measured arm",
    "painted_and_proprio": "colours painted from the carried scene, measured arm",
    "scene_and_proprio": "carried scene, places of contact, measured arm",
}
"""For a reader: what policies see of a world model's features and of a real frame."""


def render_report(
    config: ReportConfig,
    policy: DiffusionConfig,
    evaluation: EvaluationConfig,
    ppo: PPOConfig,
    seed: int,
    lineage: Mapping[str, Any],
    rows: pd.DataFrame,
    success: pd.DataFrame,
    metrics: pd.DataFrame,
    rewards: pd.DataFrame,
    replay: pd.DataFrame,
    figures: NamedFiles,
    diagnosis: str,
    *files: NamedFiles | None,
) -> str:
    """The page, with everything inside."""
    count = len(WORLD_MODELS)
    return page.results_page(
        page.Results(
            title=config.title,
            subtitle=config.data_set,
            facts={"policies see": SEEN[policy.sees]} | facts(rows, seed, lineage),
            rows=rows,
            success=success,
            quality=metrics[metrics["stage"] == "open_loop"],
            rewards=rewards,
            replay=replay_success_table(replay),
            figures={name.removesuffix(".svg"): svg.decode() for name, svg in figures.items()},
            diagnosis=diagnosis,
            strips=_present(files[:count]),
            clips=_present(files[count:]),
            ancestry=ancestry(lineage),
            bootstrap_seed=config.bootstrap_seed,
            checkpoints_on="none" if ppo.chosen_in == "imagination" else evaluation.checkpoints_on,
            clips_per_task=config.videos_per_task,
        )
    )


def _present(files: tuple[NamedFiles | None, ...]) -> dict[str, NamedFiles]:
    return {name: found for name, found in zip(WORLD_MODELS, files, strict=True) if found is not None}


def facts(rows: pd.DataFrame, seed: int, lineage: Mapping[str, Any]) -> dict[str, str]:
    """What a number must be read with: seed, starts, run, episodes, code."""
    starts = rows.drop_duplicates(["task", "start"])
    code, ancestors = lineage.get("code", {}), lineage.get("ancestors", {})
    commit = code.get("commit", "unknown")[:12] + (
        " with local changes" if code.get("changed") == "yes" else ""
    )
    return {
        "seed": f"{seed} (one)",
        "held-out starts": f"{len(starts)} over {starts['task'].nunique()} tasks",
        "run": lineage.get("saved_by_run", "unknown"),
        "episodes": ancestors.get("training_episodes", {}).get("version", "unknown"),
        "code": commit,
    }


def ancestry(lineage: Mapping[str, Any]) -> pd.DataFrame:
    """Artefact, version and digest of every ancestor."""
    ancestors = lineage.get("ancestors", {})
    lines = [(name, one.get("version", ""), one.get("digest", "")) for name, one in sorted(ancestors.items())]
    return pd.DataFrame(lines, columns=["artefact", "version", "digest"])
