"""Which old versions can go: not the latest few, and nothing that a kept one was made from."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wam.datasets.artefact import PARTIAL, RECORD_NAME

PRUNED: Final = ".pruned"
"""How the folder of a version ends that is being removed."""


@dataclass(frozen=True)
class StoredVersion:
    """One version of one artefact on disk.

    Attributes:
        folder: Where it lies; its name is the version.
        record: What was noted when it was saved.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def digest(self) -> str:
        """Of its content."""
        return str(self.record["digest"])

    @property
    def size(self) -> int:
        """Bytes of the artefact."""
        return int(self.record.get("bytes", 0))

    @property
    def ancestor_digests(self) -> set[str]:
        """Digests of all that it descends from."""
        return {str(one["digest"]) for one in self.record.get("ancestors", {}).values() if "digest" in one}


def stored_versions(root: Path) -> Iterator[list[StoredVersion]]:
    """The versions of each artefact below a data root, oldest first.

    Only complete versions count, those with a record: an artefact and its record appear together. Only
    Kedro's numbered layers are searched, because another environment's root may lie beside them. Folders that
    are links, to another disk for example, belong to it: what lies there may descend from what is here.

    Args:
        root: The data root of an environment.
    """
    for layer in sorted(root.glob("[0-9][0-9]_*")):
        for parent, folders in _walk(layer):
            found = sorted(
                Path(parent) / name for name in folders if (Path(parent) / name / RECORD_NAME).is_file()
            )
            kept = {folder.name for folder in found}
            # neither into artefacts, which may hold a file a frame, nor into what is half written
            folders[:] = sorted(name for name in folders if name not in kept and not name.startswith("."))
            if found:
                yield [_version(folder) for folder in found if not folder.name.startswith(".")]


def _walk(layer: Path) -> Iterator[tuple[str, list[str]]]:
    """As ``os.walk``, through links, but into no folder a second time: a link may lead back."""
    seen: set[str] = set()
    for parent, folders, _ in os.walk(layer, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        yield parent, folders


def _version(folder: Path) -> StoredVersion:
    return StoredVersion(folder, json.loads((folder / RECORD_NAME).read_text()))


def prunable(artefacts: Iterable[Sequence[StoredVersion]], *, keep: int) -> list[StoredVersion]:
    """Versions that are neither among the latest of their artefact nor ancestors of one that is.

    An ancestor is known by its digest, as in the provenance check, so all versions of the same content stay.

    Args:
        artefacts: Versions of each artefact, oldest first.
        keep: How many of the latest versions of each artefact stay.

    Raises:
        ValueError: If ``keep`` is below 1.
    """
    if keep < 1:
        raise ValueError(
            f"keep must be at least 1, got {keep}: the latest version is what the next run reads"
        )
    listed = [list(versions) for versions in artefacts]
    needed = {digest for versions in listed for one in versions[-keep:] for digest in one.ancestor_digests}
    return [one for versions in listed for one in versions[:-keep] if one.digest not in needed]


def leftovers(root: Path) -> Iterator[Path]:
    """What killed runs left below a data root: versions half written or half removed.

    A run that is going on has one too, for as long as it saves.
    """
    for layer in sorted(root.glob("[0-9][0-9]_*")):
        for parent, folders in _walk(layer):
            hidden = {name for name in folders if name.startswith(".") and name.endswith((PARTIAL, PRUNED))}
            yield from (Path(parent) / name for name in sorted(hidden))
            kept = {name for name in folders if (Path(parent) / name / RECORD_NAME).is_file()}
            folders[:] = sorted(set(folders) - hidden - kept)


def remove(version: StoredVersion) -> None:
    """Delete a version: moved out of the catalog's sight first, so a kill leaves no torn version."""
    aside = version.folder.with_name(f".{version.folder.name}{PRUNED}")
    version.folder.rename(aside)
    shutil.rmtree(aside)
