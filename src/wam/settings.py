"""Kedro's settings of this project: hooks, how configuration merges, what stays switched off."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("DO_NOT_TRACK", "1")  # usage reports of Kedro and its plugins: a choice, not a default
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# inputs of other namespaces have dots in their names: that is how cells read what belongs to a world model
warnings.filterwarnings("ignore", message="One or more dataset names contain '.' characters")
# raised by kedro-mlflow's own model class on import
warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")

from kedro.utils import find_kedro_project  # noqa: E402

from wam.hooks import (  # noqa: E402
    MlflowCellHooks,
    MlflowRunHooks,
    ProgressHooks,
    ProvenanceHooks,
    RunEnvironmentHooks,
    WorkDirHooks,
    WorkerHooks,
)

logging.getLogger("kedro_mlflow").setLevel(logging.WARNING)  # it sets itself to INFO when imported


def project_file(name: str) -> str:
    """Absolute path of a file at the project's root, wherever inside the project a command is typed."""
    root = find_kedro_project(Path.cwd()) or Path.cwd()
    return (root / name).resolve().as_posix()


# the last one registered is called first: checks before work, the MLflow run around everything
HOOKS: Final = (
    MlflowRunHooks(),
    MlflowCellHooks(),
    WorkDirHooks(),
    WorkerHooks(),
    ProvenanceHooks(),
    ProgressHooks(),
    RunEnvironmentHooks(),
)

# kedro-mlflow's hook is part of MlflowRunHooks
DISABLE_HOOKS_FOR_PLUGINS: Final = ("kedro_mlflow", "kedro-telemetry")

CONFIG_LOADER_ARGS: Final[dict[str, Any]] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
    "custom_resolvers": {"project_file": project_file},
}
