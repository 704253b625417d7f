"""What ``--only-missing-outputs`` skips in the ablation: only what its own settings and inputs made.

Kedro skips every node whose outputs exist. After a row's settings were changed, or the episodes packed anew,
old results would pass for new ones, and the page would not be made again for a new row. So an output counts
as missing if its record shows other parameters or inputs, or if something it reads will be made again.
"""

import logging
from typing import Any, Final

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import ValidationError

from wam.contracts import config_from_dict
from wam.datasets import ArtefactDataset
from wam.hooks.provenance import plain
from wam.hooks.work_dirs import COMPUTE
from wam.pipelines.ablation.pipeline import TAG

logger = logging.getLogger(__name__)

_CHANGES_RESULTS: Final = "stop_after"
"""The one setting of the page ``compute`` that does."""


class FreshnessHooks:
    """Marks outdated outputs as missing, before Kedro looks which ones exist."""

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Walk the ablation's nodes in order."""
        if not run_params.get("only_missing_outputs"):
            return
        again: set[str] = set()
        for node in pipeline.nodes:
            if TAG not in node.tags:
                continue
            reason = next((f"{name} is made again" for name in node.inputs if name in again), None)
            reason = reason or outdated(node, catalog)
            if reason:
                logger.debug("%s runs: %s", node.name, reason)
                again |= set(node.outputs)
                for name in node.outputs:
                    dataset = catalog.get(name)
                    if isinstance(dataset, ArtefactDataset):
                        dataset.disregard()


def outdated(node: Node, catalog: DataCatalog) -> str | None:
    """Why a node's outputs are not what it would make now, ``None`` if they are (as far as records tell)."""
    for name in node.outputs:
        dataset = catalog.get(name)
        if not isinstance(dataset, ArtefactDataset):
            continue
        record = dataset.record()
        if not record:
            return f"{name} is not there"
        digests = {key: found["digest"] for key, found in record.get("inputs", {}).items()}
        if digests != _digests(node, catalog):
            return f"{name} was made from other inputs"
        for parameter in (key for key in node.inputs if key.startswith("params:")):
            saved = record.get("parameters", {}).get(parameter.removeprefix("params:"))
            if not _same(parameter, saved, catalog.load(parameter)):
                return f"{name} was made with other {parameter}"
    return None


def _digests(node: Node, catalog: DataCatalog) -> dict[str, str]:
    records = {
        name: dataset.record()
        for name in node.inputs
        if not name.startswith("params:") and isinstance(dataset := catalog.get(name), ArtefactDataset)
    }
    return {name: record["digest"] for name, record in records.items() if record}


def _same(name: str, saved: Any, value: Any) -> bool:
    """Whether a recorded parameter is the present one; settings that came since count with their defaults."""
    if saved is None:
        return False
    if name == COMPUTE:
        return bool(saved.get(_CHANGES_RESULTS) == plain(value)[_CHANGES_RESULTS])
    if hasattr(value, "__dataclass_fields__"):
        try:
            saved = plain(config_from_dict(type(value), saved))
        except ValidationError:
            return False
    return bool(saved == plain(value))
