"""What happens around every run: one concern a file, registered in ``wam.settings``."""

from wam.hooks.ablation import AblationHooks
from wam.hooks.comparison import ComparisonHooks
from wam.hooks.freshness import FreshnessHooks
from wam.hooks.mlflow_cells import MlflowCellHooks
from wam.hooks.mlflow_run import MlflowRunHooks
from wam.hooks.parameters import ParameterHooks
from wam.hooks.progress import ProgressHooks
from wam.hooks.provenance import ProvenanceHooks
from wam.hooks.run_environment import RunEnvironmentHooks
from wam.hooks.work_dirs import WorkDirHooks
from wam.hooks.workers import WorkerHooks
from wam.hooks.workflow import WorkflowHooks

__all__ = [
    "AblationHooks",
    "ComparisonHooks",
    "FreshnessHooks",
    "MlflowCellHooks",
    "MlflowRunHooks",
    "ParameterHooks",
    "ProgressHooks",
    "ProvenanceHooks",
    "RunEnvironmentHooks",
    "WorkDirHooks",
    "WorkerHooks",
    "WorkflowHooks",
]
