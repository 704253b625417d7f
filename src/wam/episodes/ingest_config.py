"""Settings of ingest and its report."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from wam.contracts import config
from wam.episodes.rotation import RotationConvention
from wam.parallel.workers import RayWorkers


@config
class IngestConfig:
    """How a CALVIN folder is packed.

    Attributes:
        workers: Processes, None for every usable core, or workers of a Ray cluster. The result does not
            depend on it.
        chunk_frames: Frames compressed together; 16 reads a random 50-frame window fastest.
        shard_frames: Frames per file, a multiple of ``chunk_frames``; bounds the memory of a worker (25 MB
            for 1024).
        images: "compressed" is read whole into memory when it is loaded; "mapped" is not compressed, and
            frames are read as they are used, for data that memory cannot hold.
        quarantine: Leave bad frames and annotations out and report them, instead of stopping at the first.
        rotation_convention: How Euler angles become six rotation numbers; ``intrinsic`` is as published
            (fault B16).
        require_annotations: Stop when the folder has no task segments; False packs play frames only.
    """

    workers: Annotated[int, Field(ge=1)] | RayWorkers | None = None
    chunk_frames: Annotated[int, Field(ge=1)] = 16
    shard_frames: Annotated[int, Field(ge=1)] = 1024
    images: Literal["compressed", "mapped"] = "compressed"
    quarantine: bool = False
    rotation_convention: RotationConvention = "extrinsic"
    require_annotations: bool = True

    def __post_init__(self) -> None:
        """Refuse shards that are not whole chunks."""
        if self.shard_frames % self.chunk_frames:
            raise ValueError(
                f"shard_frames ({self.shard_frames}) must be a multiple of chunk_frames ({self.chunk_frames})"
            )


@dataclass(frozen=True)
class IngestReport:
    """What was packed and what was left out; JSON-ready by ``asdict``.

    Attributes:
        num_frames: Frames in the store.
        num_episodes: Episodes in the store; an episode cut by a bad frame counts as two.
        stray_frames: Frame files outside every episode, left out.
        quarantined_frames: One row per bad frame: frame id and reason.
        quarantined_annotations: One message per bad annotation.
        digest: Digest of the store.
    """

    num_frames: int
    num_episodes: int
    stray_frames: int
    quarantined_frames: list[dict[str, Any]] = field(default_factory=list)
    quarantined_annotations: list[str] = field(default_factory=list)
    digest: str = ""
