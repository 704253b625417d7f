"""World models trained on another machine, one that has torch and little else.

::

    here      kedro pack job                                  job/episodes.npz, job/wam.json, job/diwa.json
    there     python -m wam.world_model.remote_training job out       out/wam.json, out/wam.1-of-5, ...
    here      kedro run --params compute.remote=out

A page of a job holds everything that a training depends on, so what comes back is recognised by its content:
a node takes it in place of its own training if that has the same settings, seed and episodes, and only then.
The code there must be the code that packed; code that has changed since is told, not refused. Held-out losses
are left to the machine that has the data.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import wam
from wam.contracts import InputError, config_from_dict, config_to_dict, dotted
from wam.episodes.archive import archive_digest
from wam.episodes.statistics import ProprioStatistics
from wam.training.checkpoint import Checkpoint
from wam.training.pieces import read_pieces, widened
from wam.training.resume import History
from wam.world_model.config import WorldModelConfig
from wam.world_model.model import KIND
from wam.world_model.train_parts import WorldModelTask
from wam.world_model.training_config import WorldModelTrainingConfig

logger = logging.getLogger(__name__)

EPISODES_FILE: Final = "episodes.npz"
SOURCES: Final = ("nn", "episodes", "tasks", "training", "world_model")
"""Folders of the library that decide what a training makes."""


@dataclass(frozen=True)
class RemotePage:
    """All that a training depends on, as plain values.

    Attributes:
        model: Page of the model.
        training: Page of its training.
        statistics: Of proprioception.
        seed: Of weights, windows and noise.
        stop_after: See ``loop.train``.
        episodes: Digest of the store of training episodes.
        code: Digest of the library's sources that a training depends on.
    """

    model: dict[str, Any]
    training: dict[str, Any]
    statistics: dict[str, Any]
    seed: int
    stop_after: int | None
    episodes: str
    code: str

    @classmethod
    def of(
        cls,
        model: WorldModelConfig,
        training: WorldModelTrainingConfig,
        statistics: Mapping[str, Any],
        *,
        seed: int,
        stop_after: int | None,
        episodes: str,
    ) -> "RemotePage":
        """The page of a training; validation is no part of it."""
        pages = config_to_dict(model), config_to_dict(replace(training, validation_batches=0)), statistics
        as_read = json.loads(json.dumps(pages))  # as they come back from a file
        its_model, its_training, its_statistics = as_read
        return cls(its_model, its_training, its_statistics, seed, stop_after, episodes, code_digest())

    @property
    def key(self) -> str:
        """16 hexadecimal digits, the same for the same training."""
        return hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=8).hexdigest()

    def task(self, episodes: Path, parts: int, work_dir: Path) -> WorldModelTask:
        """What is trained there; ``parts`` is no part of the page: batches stay the same."""
        return WorldModelTask(
            model=config_from_dict(WorldModelConfig, self.model),
            training=config_from_dict(WorldModelTrainingConfig, self.training),
            statistics=ProprioStatistics.from_dict(self.statistics),
            training_episodes=episodes,
            validation_episodes=None,
            seed=self.seed,
            parts=parts,
            stop_after=self.stop_after,
            work_dir=work_dir / self.key,
        )

    def differences(self, other: "RemotePage") -> list[str]:
        """A line for every value that the other page has otherwise; code is not among them."""
        own, its = dict(dotted(asdict(self))), dict(dotted(asdict(other)))
        names = sorted((own.keys() | its.keys()) - {"code"})
        return [
            f"{name} is {its.get(name)} there, {own.get(name)} here"
            for name in names
            if own.get(name) != its.get(name)
        ]


def read_pages(folder: Path) -> dict[str, RemotePage]:
    """The trainings of a job by name.

    Raises:
        InputError: If there are none, one cannot be read, or the episodes are not those they want.
    """
    pages = {path.stem: _page(read_json(path), path.name) for path in sorted(folder.glob("*.json"))}
    if not pages:
        raise InputError(f"{folder} holds no training (*.json); make it with kedro pack")
    digest = archive_digest(folder / EPISODES_FILE)
    other = [name for name, page in pages.items() if page.code != code_digest()]
    if other:
        raise InputError(
            f"{', '.join(other)} of {folder} was packed by another version of wam than the one here; bring "
            "the checkout that packed it, or pack it again"
        )
    strange = [name for name, page in pages.items() if page.episodes != digest]
    if strange:
        raise InputError(
            f"{folder / EPISODES_FILE} is not what {', '.join(strange)} wants; pack the job again"
        )
    return pages


def bring_back(folder: Path, page: RemotePage) -> tuple[Checkpoint, History]:
    """What another machine made of a training, by content: its name does not matter.

    Args:
        folder: Of pages and pieces.
        page: What would be trained here.

    Returns:
        Its weights, whose large matrices were rounded to bfloat16 (``extra`` says so), and its curves.

    Raises:
        InputError: If it is not there, naming how the nearest one differs, or is not whole.
    """
    found = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    if not found:
        raise InputError(
            f"compute.remote is {folder}, which holds no world model; bring what was trained there"
        )
    differ = {name: page.differences(page_of(one, f"{name}.json")) for name, one in found.items()}
    nearest = min(differ, key=lambda name: len(differ[name]))
    if differ[nearest]:
        raise InputError(
            f"compute.remote is {folder}, where nothing was trained as here; {nearest} is nearest: "
            f"{'; '.join(differ[nearest][:3])}. Pack and train it again, or set compute.remote to null"
        )
    one = found[nearest]
    if page_of(one, f"{nearest}.json").code != page.code:
        logger.warning(
            "%s of %s was trained by another version of wam: train it again if that may matter",
            nearest,
            folder,
        )
    weights = widened(read_pieces(folder, one["weights"]["pieces"], one["weights"]["sha256"]))
    extra = {**one["extra"], "remote": {**one["machine"], "weights": "bfloat16"}}
    return Checkpoint(KIND, weights, one["config"], extra), one["history"]


@cache
def code_digest() -> str:
    """16 hexadecimal digits of the sources that a training depends on, of the version that runs."""
    root, digest = Path(wam.__file__).parent, hashlib.blake2b(digest_size=8)
    files = [path for name in SOURCES for path in (root / name).rglob("*.py")]
    for path in sorted([*files, root / "contracts.py", root / "seeding.py"]):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def page_of(found: Mapping[str, Any], name: str) -> RemotePage:
    """The page of what came back.

    Raises:
        InputError: If the file with this name is none of these, or of another version of the library.
    """
    return _page(found.get("page", {}), name)


def _page(values: Mapping[str, Any], name: str) -> RemotePage:
    own = {field.name for field in fields(RemotePage)}
    if values.keys() != own:
        raise InputError(
            f"{name} is no page of a training, or another version of wam wrote it (it has "
            f"{', '.join(sorted(values)) or 'nothing'}, not {', '.join(sorted(own))}); pack it again"
        )
    return RemotePage(**values)


def read_json(path: Path) -> dict[str, Any]:
    """A page, or what came back.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); pack or bring it again") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no page; pack or bring it again")
    return values
