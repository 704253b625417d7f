"""What ``--only-missing-outputs`` skips: never what a trial made; in the ablation only what is up to date.

What was made under ``compute.stop_after`` means nothing, and would pass for the real thing. So it counts as
missing, with all that is made from it, unless the run is the same trial.

In the ablation more does. Kedro skips every node whose outputs exist. After a row's settings were changed, or
the episodes packed anew, old results would pass for new ones, and the page would not be made again for a new
row. So an output counts as missing if its record shows other parameters or inputs, or if something it reads
will be made again. Results of rows that are no part of the run, and descend from other versions than those
that are or will be there, are left out of the page.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import ValidationError

from wam.contracts import config_from_dict
from wam.datasets import ArtefactDataset
from wam.hooks.provenance import plain
from wam.hooks.work_dirs import COMPUTE, trial_limit
from wam.pipelines.ablation.pipeline import TAG

logger = logging.getLogger(__name__)


class FreshnessHooks:
    """Marks outdated outputs as missing, before Kedro or another hook looks which ones exist."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Walk the nodes in order."""
        if not run_params.get("only_missing_outputs"):
            return
        again: set[str] = set()
        for node in pipeline.nodes:
            reason = next((f"{name} is made again" for name in node.inputs if name in again), None)
            reason = reason or (outdated(node, catalog) if TAG in node.tags else cut_short(node, catalog))
            if reason:
                logger.debug("%s runs: %s", node.name, reason)
                again |= set(node.outputs)
                for name in node.outputs:
                    dataset = catalog.get(name)
                    if isinstance(dataset, ArtefactDataset):
                        dataset.disregard()
        for name, dataset in left_behind(pipeline, catalog, again):
            logger.warning("%s is left out: what it descends from was made again, so run its row too", name)
            dataset.disregard()


def left_behind(
    pipeline: Pipeline, catalog: DataCatalog, again: Collection[str]
) -> Iterator[tuple[str, ArtefactDataset[Any, Any]]]:
    """Optional inputs of the ablation that descend from other versions than those that are or will be there.

    Args:
        pipeline: That runs.
        catalog: Of all artefacts.
        again: What will be made again.
    """
    read = {name for node in pipeline.nodes if TAG in node.tags for name in node.inputs}
    for name in sorted(read & pipeline.inputs()):
        dataset = catalog.get(name)
        if not isinstance(dataset, ArtefactDataset) or not dataset.optional:
            continue
        ancestors = dataset.record().get("ancestors", {})
        if any(one in again or _is_other(catalog.get(one), found) for one, found in ancestors.items()):
            yield name, dataset


def _is_other(dataset: Any, recorded: Mapping[str, Any]) -> bool:
    """Whether an ancestor is there in another version than the one recorded."""
    record = dataset.record() if isinstance(dataset, ArtefactDataset) else {}
    return bool(record) and record["digest"] != recorded.get("digest")


def cut_short(node: Node, catalog: DataCatalog) -> str | None:
    """Why a node's outputs are those of a trial, ``None`` if they are not, or if this run is the same one."""
    if COMPUTE not in node.inputs:
        return None
    planned = trial_limit(catalog.load(COMPUTE))
    for dataset in (catalog.get(name) for name in node.outputs):
        record = dataset.record() if isinstance(dataset, ArtefactDataset) else {}
        limit = trial_limit(record.get("parameters", {}).get(COMPUTE.removeprefix("params:"), {}))
        if limit not in (None, planned):
            return f"its outputs are of a trial of {limit} steps"
    return None


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
        return trial_limit(saved) == trial_limit(value)
    if hasattr(value, "__dataclass_fields__"):
        try:
            saved = plain(config_from_dict(type(value), saved))
        except ValidationError:
            return False
    return bool(saved == plain(value))
