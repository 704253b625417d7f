"""Ends the worker processes that nodes left for each other, when the run ends."""

from kedro.framework.hooks import hook_impl

from wam.evaluation.pools import close_kept_pools
from wam.parallel.map import shutdown_workers


class WorkerHooks:
    """Kept simulators and kept workers last for one run."""

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End them; all are idle."""
        close_kept_pools()
        shutdown_workers()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """End them, also those that still work on what nobody waits for."""
        close_kept_pools()
        shutdown_workers(kill=True)
