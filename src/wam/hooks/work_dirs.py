"""Gives every long node a scratch folder of its own, and clears it once the outputs are saved.

The folder's name is the node's and a digest of its parameters and inputs, so a killed run that is started
again finds its half-done work, and a run with other settings or other data never does.
"""

import hashlib
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any, Final

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline.node import Node

from wam.datasets import ArtefactDataset, WorkDirDataset
from wam.hooks.provenance import plain

logger = logging.getLogger(__name__)

COMPUTE: Final = "params:compute"
"""The page of where and how wide: work goes on with another number of workers."""
_STOP_AFTER: Final = "stop_after"

ATTEMPTS: Final = "attempts.json"
"""Note in a scratch folder of when each attempt began."""


class WorkDirHooks:
    """Makes, names and removes scratch folders."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._unsaved: dict[str, set[str]] = {}

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: DataCatalog, inputs: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Replace the shared folder by the node's own."""
        names = [name for name in inputs if isinstance(catalog.get(name), WorkDirDataset)]
        if not names:
            return None
        folder: Path = inputs[names[0]] / f"{node.name}-{work_digest(catalog, inputs)}"
        if folder.exists() and any(path.name != ATTEMPTS for path in folder.iterdir()):
            logger.info("%s goes on with the half-done work in %s", node.name, folder)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.time() - earlier_seconds(folder)
        for name in node.outputs:
            dataset = catalog.get(name)
            if isinstance(dataset, ArtefactDataset):
                dataset.count_from(began)
        self._folders[node.name] = folder
        self._unsaved[node.name] = set(node.outputs)
        return dict.fromkeys(names, folder)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Remove the folder after the last output."""
        if node.name not in self._folders:
            return
        self._unsaved[node.name].discard(dataset_name)
        if not self._unsaved[node.name]:
            shutil.rmtree(self._folders.pop(node.name), ignore_errors=True)


def earlier_seconds(folder: Path) -> float:
    """Seconds that killed attempts in a scratch folder worked until they last wrote; notes a new attempt.

    A killed process notes nothing at its end, but its files' times say how far its kept work reached.
    """
    notes = folder / ATTEMPTS
    attempts: list[dict[str, float]] = json.loads(notes.read_text()) if notes.is_file() else []
    if attempts:
        written = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file() and path != notes]
        last = attempts[-1]
        last["seconds"] = max([0.0, *(when - last["began"] for when in written)])
    attempts.append({"began": time.time()})
    partial = notes.with_suffix(".part")
    partial.write_text(json.dumps(attempts))
    partial.replace(notes)
    return sum(attempt.get("seconds", 0.0) for attempt in attempts)


def trial_limit(page: Any) -> int | None:
    """Steps after which a trial ends every training, None where nothing is cut short.

    It is the one setting of the page ``compute`` that says what is made: a trial has work of its own.

    Args:
        page: The page, or its plain values as recorded; without any, nothing was cut short.
    """
    limit: int | None = plain(page).get(_STOP_AFTER)
    return limit


def work_digest(catalog: DataCatalog, inputs: dict[str, Any]) -> str:
    """16 hex digits of parameters and input digests, the same for the same work in any process."""
    values: dict[str, Any] = {}
    for name, value in inputs.items():
        dataset = catalog.get(name)
        if name == COMPUTE:
            limit = trial_limit(value)
            values |= {} if limit is None else {name: {_STOP_AFTER: limit}}
        elif name.startswith("params:"):
            values[name] = plain(value)
        elif isinstance(dataset, ArtefactDataset):
            values[name] = dataset.record().get("digest") or str(dataset.location())
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
