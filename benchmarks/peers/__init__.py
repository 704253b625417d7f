"""Drivers of other people's code, imported from folders that the user names; none of it is kept here.

A peer's folder goes before everything else on the import path, and stand-ins take the place of what it
imports only to log: nothing that is measured goes through them.
"""

import subprocess
import sys
import types
from pathlib import Path


def use_folder(folder: Path, marker: str) -> None:
    """Let a peer be imported.

    Args:
        folder: Its checkout, or a folder it was installed to.
        marker: A path in it that tells it is the right one.

    Raises:
        FileNotFoundError: If ``marker`` is not there.
    """
    if not (folder / marker).exists():
        raise FileNotFoundError(f"{folder} has no {marker}; name the folder that holds it")
    sys.path.insert(0, str(folder.resolve()))


def stand_in(module: str, **attributes: object) -> None:
    """Put an empty module where a peer imports one that it does not need here."""
    if module not in sys.modules:
        sys.modules[module] = types.ModuleType(module)
    for name, value in attributes.items():
        setattr(sys.modules[module], name, value)


def version_of(folder: Path) -> str:
    """The commit of a checkout, or the packages that were installed to a folder."""
    if not (folder / ".git").exists():
        installed = sorted(path.stem.removesuffix(".dist") for path in folder.glob("*.dist-info"))
        return " ".join(installed) or "unknown"
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    return done.stdout.strip() or "unknown"
