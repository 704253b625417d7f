"""Every pipeline by the name that ``kedro run --pipelines`` knows.

Nodes are functions of the library, which needs seconds to be imported. So pipelines are built when something
first looks into one; commands that want their names alone, or nothing of them, start without.
"""

from functools import cache
from typing import Any, Final

from kedro.pipeline import Pipeline

from wam.pipelines.grid import STAGES, WORLD_MODELS

NAMES: Final = (
    *STAGES,
    *WORLD_MODELS,
    "reproduce",
    "shared",
    "verify_episodes",
    "ablation",
    "online",
    "__default__",
)
"""All that :mod:`wam.pipelines.chains` builds."""


class LatePipeline(Pipeline):
    """A pipeline that so far has a name alone; whoever asks for anything else of it gets it built."""

    def __init__(self, name: str) -> None:
        """Remember the name; ``Pipeline.__init__`` follows with the nodes."""
        self._late_name = name

    def __getattr__(self, attribute: str) -> Any:
        """What ``Pipeline.__init__`` would have set."""
        name = vars(self).get("_late_name")
        if name is None or attribute.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")
        from wam.pipelines.chains import built  # noqa: PLC0415 - the seconds that a list of names is spared

        super().__init__(built()[name])
        del self._late_name
        return getattr(self, attribute)


@cache
def register_pipelines() -> dict[str, Pipeline]:
    """All pipelines: each stage, each world model's own chain, everything, parts of it, and checks."""
    return {name: LatePipeline(name) for name in NAMES}
