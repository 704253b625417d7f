"""Kedro's settings of this project: hooks, how configuration merges, what stays switched off."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("DO_NOT_TRACK", "1")  # usage reports of Kedro and its plugins: a choice, not a default
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# inputs of other namespaces have dots in their names: that is how cells read what belongs to a world model
warnings.filterwarnings("ignore", message="One or more dataset names contain '.' characters")

from mlflow.pyfunc.model import PythonModel  # noqa: E402

# MLflow warns about kedro-mlflow's own model class on import, whatever the filters say, unless it is exempt
PythonModel._skip_type_hint_validation = True  # type: ignore[attr-defined]
import kedro_mlflow.mlflow  # noqa: E402, F401

del PythonModel._skip_type_hint_validation  # type: ignore[attr-defined]

from kedro.utils import find_kedro_project  # noqa: E402

logging.getLogger("kedro_mlflow").setLevel(logging.WARNING)  # it sets itself to INFO when imported


def project_file(name: str) -> str:
    """Absolute path of a file at the project's root, wherever inside the project a command is typed."""
    root = find_kedro_project(Path.cwd()) or Path.cwd()
    return (root / name).resolve().as_posix()


@cache
def project_hooks() -> tuple[object, ...]:
    """The hooks; imported here because with them comes every library that a run needs.

    The last one registered is called first: checks before work, the MLflow run around everything; what
    outdated outputs are is said before anything asks which outputs exist.
    """
    from kedro_viz.integrations.kedro.hooks import DatasetStatsHook  # noqa: PLC0415 - as said above

    from wam import hooks  # noqa: PLC0415 - as said above

    return (
        DatasetStatsHook(),
        hooks.MlflowRunHooks(),
        hooks.MlflowCellHooks(),
        hooks.WorkDirHooks(),
        hooks.WorkerHooks(),
        hooks.WorkflowHooks(),
        hooks.ProvenanceHooks(),
        hooks.ProgressHooks(),
        hooks.ComparisonHooks(),
        hooks.RunEnvironmentHooks(),
        hooks.FreshnessHooks(),
        hooks.AblationHooks(),
        hooks.ParameterHooks(),
    )


class LateHooks(Iterable[object]):
    """Makes the hooks when a session asks for them: commands that run nothing start without."""

    def __iter__(self) -> Iterator[object]:
        return iter(project_hooks())


HOOKS: Final = LateHooks()

# kedro-mlflow's hook is part of MlflowRunHooks, one of Kedro-Viz's two of WorkflowHooks
DISABLE_HOOKS_FOR_PLUGINS: Final = ("kedro_mlflow", "kedro-telemetry", "kedro-viz")

CONFIG_LOADER_ARGS: Final[dict[str, Any]] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft", "globals": "soft", "mlflow": "soft"},
    "config_patterns": {"mlflow": ["mlflow*", "mlflow*/**", "**/mlflow*"]},
    "custom_resolvers": {"project_file": project_file},
}
