"""``kedro pack``: the trainings of chosen pipelines as a folder that another machine can do them from."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any, Final, cast

from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import CatalogProtocol
from kedro.pipeline import Node

from wam.contracts import InputError
from wam.episodes.archive import write_archive
from wam.episodes.store import EpisodeStore
from wam.pipelines.world_model.nodes import train_world_model
from wam.world_model.remote import EPISODES_FILE, RemotePage

EPISODES: Final = "training_episodes"
_READ: Final = frozenset({"proprio_statistics", "config", "row", "training", "compute", "seed"})
"""Inputs of ``train_world_model`` that a page is made of, beside the episodes."""


def pack(
    project: Path,
    job: Path,
    *,
    env: str | None,
    names: Sequence[str],
    tags: Sequence[str],
    namespaces: Sequence[str],
    parameters: Mapping[str, Any],
    most_mib: float,
) -> list[str]:
    """Write the pages of all chosen trainings, and the episodes that they learn from, into an empty folder.

    Args:
        project: Root of the project.
        job: The folder; made here.
        env: Environment whose settings and episodes count.
        names: Pipelines whose trainings are packed.
        tags: Only of nodes with one of these, if any are given.
        namespaces: Only of these cells, if any are given.
        parameters: Runtime parameters.
        most_mib: Of the episodes' file, in MiB.

    Returns:
        Names of the trainings.

    Raises:
        InputError: If nothing would be packed, the folder is in use or the episodes take more room.
    """
    if job.exists() and any(job.iterdir()):
        raise InputError(f"{job} is not empty; name a new folder")
    with KedroSession.create(project_path=project, env=env, runtime_params=dict(parameters)) as session:
        catalog = cast(KedroSession, session).load_context().catalog
        chosen = [node for name in names for node in _trainings(name, tags, namespaces)]
        if not chosen:
            raise InputError(
                f"nothing of {', '.join([*names, *tags, *namespaces])} trains a world model; name pipelines, "
                "tags and cells as for kedro run"
            )
        store: EpisodeStore = catalog.load(EPISODES)
        pages = {node.namespace or "world_model": _page(node, catalog, store) for node in chosen}
    scratch = job.with_name(f".{job.name}.{os.getpid()}.part")
    scratch.mkdir(parents=True)
    try:
        _write_episodes(scratch / EPISODES_FILE, store, most_mib)
        for name, page in pages.items():
            text = json.dumps(asdict(page), indent=2, sort_keys=True)
            (scratch / f"{name}.json").write_text(f"{text}\n")
        os.replace(scratch, job)  # over an empty folder, if there is one
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return sorted(pages)


def _trainings(name: str, tags: Sequence[str], namespaces: Sequence[str]) -> Iterator[Node]:
    """Those with any of the tags, in any of the namespaces; all where none is given."""
    for node in pipelines[name].nodes:
        within = not namespaces or node.namespace in namespaces
        if node.func is train_world_model and within and (not tags or node.tags & set(tags)):
            yield node


def _page(node: Node, catalog: CatalogProtocol[Any, Any], store: EpisodeStore) -> RemotePage:
    """What the node would train, told from its inputs by their names in ``train_world_model``."""
    names = zip(signature(train_world_model).parameters, node.inputs, strict=True)
    given = {parameter: catalog.load(name) for parameter, name in names if parameter in _READ}
    config, training = given["row"].applied(given["config"], given["training"])
    return RemotePage.of(
        config,
        training,
        given["proprio_statistics"],
        seed=given["seed"],
        stop_after=given["compute"].stop_after,
        episodes=store.digest,
    )


def _write_episodes(path: Path, store: EpisodeStore, most_mib: float) -> None:
    write_archive(path, store.load(), store.digest)
    size = path.stat().st_size / 2**20
    if size > most_mib:
        raise InputError(
            f"{store.num_frames} frames take {size:.1f} MiB packed, {most_mib:g} are allowed; make less play "
            "(play.training_episodes, play.short_episodes), or allow more with --most-mib"
        )
