"""What Kedro-Viz's workflow view shows of the last whole run: which nodes ran, how long, what they saved.

Kedro-Viz collects this for its own list of runners alone, because its notes would be lost in other processes.
Our runner stays in this process, in threads, and the notes are a list that is only appended to, so they hold.
"""

from typing import Any, Final

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro_viz.integrations.kedro.run_hooks import PipelineRunStatusHook

PARTS: Final = (
    "pipeline_names",
    "namespaces",
    "tags",
    "from_nodes",
    "to_nodes",
    "node_names",
    "from_inputs",
    "to_outputs",
    "only_missing_outputs",
)
"""Options of a run that leave nodes out."""


class WorkflowHooks(PipelineRunStatusHook):  # type: ignore[misc]
    """Kedro-Viz's notes, taken in whole runs with any runner that stays in one process."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Start taking notes, unless a part runs: its notes would replace those of the last whole run."""
        self.__init__()  # type: ignore[misc]  # forget the last run of this process
        is_part = any(run_params.get(name) for name in PARTS)
        if is_part or "ParallelRunner" in str(run_params.get("runner")):
            return
        super().before_pipeline_run({"runner": None}, pipeline)
