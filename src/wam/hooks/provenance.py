"""Where everything came from, and a stop where a node would mix descendants of different ancestors.

Every saved version records its ancestors: each artefact it descends from, with version and digest. Kedro
loads the latest version of each input by itself, so after one stage is repeated the next run could read a
new world model beside features of the old one. Two ancestors are the same if their digests are, whatever
their versions: repeating a deterministic step changes nothing.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from wam.contracts import config_to_dict
from wam.datasets import ArtefactDataset, LineageDataset
from wam.hooks.refusal import RunRefusedError
from wam.pipeline_registry import register_pipelines
from wam.pipelines.grid import STAGES

Ancestors = dict[str, dict[str, Any]]
"""Name of an artefact to its ``version`` and ``digest``, and the ``node`` and ``seconds`` that made it."""


class ProvenanceError(RunRefusedError):
    """Inputs of one node descend from different versions of one ancestor."""


@dataclass(frozen=True)
class Mix:
    """One ancestor that two inputs of a node disagree about.

    Attributes:
        ancestor: Its name.
        versions: Version by the input that descends from it.
    """

    ancestor: str
    versions: Mapping[str, str]


def find_mix(inputs: Mapping[str, Ancestors]) -> Mix | None:
    """The first ancestor, by name, whose identity differs between inputs.

    Args:
        inputs: Ancestors of each input, the input itself among them.
    """
    seen: dict[str, dict[str, dict[str, Any]]] = {}
    for name, ancestors in inputs.items():
        for ancestor, identity in ancestors.items():
            seen.setdefault(ancestor, {})[name] = identity
    for ancestor in sorted(seen):
        if len({one.get("digest") or one["version"] for one in seen[ancestor].values()}) > 1:
            return Mix(ancestor, {name: one["version"] for name, one in seen[ancestor].items()})
    return None


class ProvenanceHooks:
    """Checks ancestors before work starts and before each node; hands each output its record."""

    _env: str | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note what code runs."""
        self._code = code_version(Path(context.project_path))

    @hook_impl
    def after_catalog_created(self, save_version: str) -> None:
        """Remember the version under which this run saves."""
        self._save_version = save_version

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Walk the whole run on paper, so that a mix stops it before work starts.

        Raises:
            ProvenanceError: Naming node, ancestor, versions and remedy.
        """
        self._env = run_params.get("env")
        if run_params.get("only_missing_outputs"):
            return  # what will run is not known here; each node is still checked before it runs
        known: dict[str, Ancestors] = {}
        for node in pipeline.nodes:
            inputs = {name: known.get(name) or _ancestors(catalog, name) for name in node.inputs}
            _refuse_mix(node, inputs, self._env)
            merged = _merge(inputs.values())
            for name in node.outputs:
                known[name] = {**merged, name: {"version": "this run"}}

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: DataCatalog, inputs: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Check what this node really reads, and note it for the records of its outputs.

        Returns:
            The same note, for nodes that read ``lineage``.

        Raises:
            ProvenanceError: As before the run.
        """
        read = {name: _ancestors(catalog, name) for name in node.inputs}
        _refuse_mix(node, read, self._env)
        origin = {
            "node": node.name,
            "saved_by_run": self._save_version,
            "code": self._code,
            "inputs": {name: found[name] for name, found in read.items() if found},
            "ancestors": _merge(read.values()),
            "parameters": {
                name.removeprefix("params:"): plain(value)
                for name, value in inputs.items()
                if name.startswith("params:")
            },
        }
        for name in node.outputs:
            dataset = catalog.get(name)
            if isinstance(dataset, ArtefactDataset):
                dataset.set_origin(origin)
                dataset.count_from(time.time())
        return {name: origin for name in node.inputs if isinstance(catalog.get(name), LineageDataset)}


def plain(value: Any) -> Any:
    """A parameter as JSON-ready values, whether a configuration page or not."""
    return config_to_dict(value) if hasattr(value, "__dataclass_fields__") else json.loads(json.dumps(value))


def _ancestors(catalog: DataCatalog, name: str) -> Ancestors:
    dataset = None if name.startswith("params:") else catalog.get(name)
    if not isinstance(dataset, ArtefactDataset) or not dataset.record():
        return {}
    record = dataset.record()
    version = dataset.resolve_load_version() or ""
    made = {key: record[key] for key in ("node", "seconds") if key in record}
    return {**record.get("ancestors", {}), name: {"version": version, "digest": record["digest"], **made}}


def _merge(ancestors: Iterable[Ancestors]) -> Ancestors:
    merged: Ancestors = {}
    for one in ancestors:
        merged.update(one)
    return merged


def _refuse_mix(node: Node, inputs: Mapping[str, Ancestors], env: str | None) -> None:
    mix = find_mix(inputs)
    if mix is None:
        return
    listing = "\n".join(f"  {name} from {mix.ancestor} {version}" for name, version in mix.versions.items())
    others = (name for name in mix.versions if name != mix.ancestor)
    stale = min(others, key=lambda name: mix.versions[name])
    option = f" --env {env}" if env else ""
    maker = _maker(stale)
    remake = f"kedro run --pipelines {maker}{option}" if maker else "the run that made it"
    remedies = [f"make {stale} again ({remake})"]
    made_from = mix.versions[stale]
    if made_from:  # a folder of the user's has no versions
        remedies.append(f'read what it was made from (--load-versions "{mix.ancestor}:{made_from}")')
    raise ProvenanceError(
        f"{node.name} would mix descendants of different versions of {mix.ancestor}:\n{listing}\n"
        f"Remedy: {', or '.join(remedies)}."
    )


def _maker(name: str) -> str | None:
    """The pipeline that makes an artefact: its stage, else one beside the main job."""
    pipelines = register_pipelines()
    makers = (one for one in (*STAGES, *pipelines) if name in pipelines[one].all_outputs())
    return next(makers, None)


def code_version(project_path: Path) -> dict[str, str]:
    """Commit of the project and whether files differ from it; empty outside a git checkout."""
    git = ["git", "-C", os.fspath(project_path)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)  # noqa: S603
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.stdout.strip(), "changed": "yes" if status.stdout.strip() else "no"}
