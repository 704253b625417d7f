"""What ``--only-missing-outputs`` skips: only what is up to date.

Kedro skips every node whose outputs exist. After a setting was changed, or a second run was killed half-way,
old results would pass for new ones. So an output counts as missing if its record shows other parameters or
inputs than this run's, or if something it reads will be made again. So does what was made under
``compute.stop_after``, unless the run is the same trial: it means nothing, and would pass for the real thing.

Results of rows of the ablation that are no part of the run, and descend from other versions than those that
are or will be there, are left out of its page.
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
            reason = reason or outdated(node, catalog)
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
        if all(node.outputs and all(map(catalog.exists, node.outputs)) for node in pipeline.nodes):
            logger.info("all of %d nodes are up to date: nothing to do", len(pipeline.nodes))


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


def outdated(node: Node, catalog: DataCatalog) -> str | None:
    """Why a node's outputs are not what it would make now, ``None`` if they are (as far as records tell)."""
    for name in node.outputs:
        dataset = catalog.get(name)
        if not isinstance(dataset, ArtefactDataset):
            continue
        record = dataset.record()
        if "bytes" not in record and dataset.exists():
            continue  # somebody else put it there, as one does with a download
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
    if name == COMPUTE:  # a trial has no need to put anything in the place of the real thing
        return trial_limit(saved) in (None, trial_limit(value))
    if hasattr(value, "__dataclass_fields__"):
        try:
            saved = plain(config_from_dict(type(value), saved))
        except ValidationError:
            return False
    return bool(saved == plain(value))
