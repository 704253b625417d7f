"""CALVIN folder to episode store: streaming, in parallel, resumable, with bounded memory.

The unit of work is one shard of the store: a worker reads its frames, writes the shard of every array and
then a marker file in the work folder. A run that was killed continues with the shards that have no marker;
the bytes of the store do not depend on interruptions or on the number of workers.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray

from wam.episodes.calvin_format import EPISODE_IDS_FILE, CalvinFormatError, CalvinSplit
from wam.episodes.frame_arrays import clear_spare_images, create_arrays, write_table
from wam.episodes.ingest_checks import annotation_faults, image_shapes, missing_frames
from wam.episodes.ingest_config import IngestConfig, IngestReport
from wam.episodes.ingest_plan import plan_ingest
from wam.episodes.resize import resize_image
from wam.episodes.shard import ImageShapes, Shard, ShardOutcome, finished_outcome, write_shard
from wam.episodes.store import FORMAT, FORMAT_VERSION, EpisodeStore
from wam.parallel.map import available_workers, map_pieces, worker_count

__all__ = ["IngestConfig", "IngestReport", "ingest_split", "split_around"]

STORE_FOLDER: Final = "store.zarr"
MARKER_FOLDER: Final = "shards"
_BLOCK_BYTES: Final = 512
"""Of ``st_blocks``, on every POSIX system."""


@dataclass(frozen=True)
class _Job:
    """One call of :func:`ingest_split`: where from, where to, how, and the digest of that plan."""

    split: CalvinSplit
    target: Path
    config: IngestConfig
    plan: str

    @property
    def work(self) -> Path:
        return self.target.with_name(f"{self.target.name}.partial")


def ingest_split(source: Path, target: Path, config: IngestConfig) -> IngestReport:
    """Pack a CALVIN split into an episode store.

    Args:
        source: Split folder, ours or a download; images of any size.
        target: Zarr directory to make. Work is kept in ``<target>.partial`` until it is complete; another
            call after a kill continues there, another call after success returns the same report.
        config: Settings.

    Returns:
        Counts, what was left out, and the digest.

    Raises:
        CalvinFormatError: If the folder or a frame is bad (the latter only without quarantine); what can be
            seen without opening frames is checked before any work.
        DiskTooSmallError: If the store might not fit on the disk.
        FileExistsError: If ``target`` exists and was made from something else.
    """
    split = CalvinSplit(Path(source).absolute())
    job = _Job(split=split, target=Path(target).absolute(), config=config, plan=_plan_digest(split, config))
    if job.target.exists():
        return _existing_report(job)
    reasons = missing_frames(split, config)
    faults = annotation_faults(split, config)
    shapes = image_shapes(split, reasons, config)
    _prepare_work(job)
    _announce(job, reasons)
    while True:
        episodes = split_around(split.episodes, np.array(sorted(reasons), np.int64))
        outcomes = _write_shards(job, _frame_ids(episodes), shapes)
        found = {frame: reason for outcome in outcomes for frame, reason in outcome.bad_frames}
        if not found:
            break
        reasons |= found
    report = IngestReport(
        num_frames=int((episodes[:, 1] - episodes[:, 0] + 1).sum()),
        num_episodes=len(episodes),
        stray_frames=len(split.stray_ids()),
        quarantined_frames=[{"frame_id": frame, "reason": reasons[frame]} for frame in sorted(reasons)],
        quarantined_annotations=faults,
    )
    return _finish(job, episodes, outcomes, report)


def split_around(episodes: NDArray[np.int64], bad_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut episodes at bad frames, so that nothing consecutive crosses a gap.

    Args:
        episodes: ``(E, 2)`` first and last frame ids, inclusive.
        bad_ids: Sorted ids to leave out.

    Returns:
        ``(P, 3)``: first id, last id, index of the episode it was cut from; in the order of ``episodes``.

    Raises:
        CalvinFormatError: If no frame is left.
    """
    parts: list[tuple[int, int, int]] = []
    for index, (first, last) in enumerate(episodes.tolist()):
        start = first
        for bad in bad_ids[(bad_ids >= first) & (bad_ids <= last)].tolist():
            if bad > start:
                parts.append((start, bad - 1, index))
            start = bad + 1
        if start <= last:
            parts.append((start, last, index))
    if not parts:
        raise CalvinFormatError(f"no good frame is left of {len(episodes)} episodes; the folder is unusable")
    return np.array(parts, np.int64)


def _frame_ids(episodes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(first, last + 1) for first, last, _ in episodes])


def _plan_digest(split: CalvinSplit, config: IngestConfig) -> str:
    """What a store depends on besides the frames: ids, layouts and settings; not place or workers."""
    digest = blake2b(digest_size=16)
    digest.update(split.episodes.tobytes())
    digest.update(repr(split.layout_names).encode())
    digest.update(b"" if split.layouts is None else split.layouts.tobytes())
    settings = {key: value for key, value in asdict(config).items() if key != "workers"}
    digest.update(repr(sorted(settings.items())).encode())
    return digest.hexdigest()


def _existing_report(job: _Job) -> IngestReport:
    summary = EpisodeStore(job.target).summary()
    if summary.get("plan") != job.plan:
        raise FileExistsError(
            f"{job.target} exists and was packed from other episodes or settings; remove it or choose another"
        )
    return IngestReport(**summary["ingest"], digest=summary["digest"])


def _prepare_work(job: _Job) -> None:
    """Keep the work folder of an interrupted run of the same plan and source, else start an empty one."""
    stamp = (job.split.folder / EPISODE_IDS_FILE).stat().st_mtime_ns
    key = f"{job.plan} {job.split.folder.resolve()} {stamp}\n"
    key_file = job.work / "plan.txt"
    if key_file.is_file() and key_file.read_text() == key:
        return
    shutil.rmtree(job.work, ignore_errors=True)
    (job.work / MARKER_FOLDER).mkdir(parents=True)
    key_file.write_text(key)


def _announce(job: _Job, reasons: dict[int, str]) -> None:
    """Say what packing will take; refuse a disk that is too small."""

    def read(frame_id: int) -> None:
        try:
            frame = job.split.read_frame(frame_id)
        except CalvinFormatError:
            if not job.config.quarantine:
                raise
            return  # it is reported when it is packed
        resize_image(frame.image_static)
        resize_image(frame.image_gripper)

    good = np.setdiff1d(job.split.frame_ids, np.array(sorted(reasons), np.int64))
    written = (file.stat().st_blocks for file in job.work.rglob("*") if file.is_file())
    done = _BLOCK_BYTES * sum(written)  # not the size: a mapped store has its full one from the start
    workers = job.config.workers or available_workers()
    plan_ingest(good, read, job.target, workers=worker_count(workers), done_bytes=done)


def _write_shards(job: _Job, frame_ids: NDArray[np.int64], shapes: ImageShapes) -> list[ShardOutcome]:
    """Write every shard that an earlier run has not written; outcomes in the order of the rows."""
    size, store = job.config.shard_frames, job.work / STORE_FOLDER
    room = len(job.split.frame_ids) if job.config.images == "mapped" else None
    sizes = {"chunk_frames": job.config.chunk_frames, "shard_frames": size}
    create_arrays(store, len(frame_ids), **sizes, mapped_room=room)
    shards = [
        Shard(
            folder=job.split.folder,
            store=store,
            marker=job.work / MARKER_FOLDER / f"{first // size:06d}.json",
            first_row=first,
            shard_frames=size,
            frame_ids=frame_ids[first : first + size],
            image_shapes=shapes,
            rotation_convention=job.config.rotation_convention,
            quarantine=job.config.quarantine,
        )
        for first in range(0, len(frame_ids), size)
    ]
    outcomes = {shard.first_row: finished_outcome(shard) for shard in shards}
    open_shards = [shard for shard in shards if outcomes[shard.first_row] is None]
    written = map_pieces(
        write_shard,
        open_shards,
        workers=job.config.workers or available_workers(),
        description=f"pack {job.split.folder.name}",
        unit=f"shard of {size} frames",
    )
    outcomes |= {shard.first_row: outcome for shard, outcome in zip(open_shards, written, strict=True)}
    return [outcome for outcome in outcomes.values() if outcome is not None]


def _finish(
    job: _Job, episodes: NDArray[np.int64], outcomes: Sequence[ShardOutcome], report: IngestReport
) -> IngestReport:
    """Write the tables, then the attributes that make the store complete, then move it into place."""
    digest = blake2b(digest_size=16)
    for outcome in outcomes:
        digest.update(bytes.fromhex(outcome.frame_digests))
    store = job.work / STORE_FOLDER
    group = zarr.open_group(store, mode="r+")
    clear_spare_images(store)
    for name, values in _tables(job.split, episodes).items():
        write_table(group, name, values)
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.tobytes())
    finished = replace(report, digest=digest.hexdigest())
    group.attrs.update(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "digest": finished.digest,
            "num_frames": finished.num_frames,
            "num_episodes": finished.num_episodes,
            "layout_names": list(job.split.layout_names),
            "rotation_convention": job.config.rotation_convention,
            "plan": job.plan,
            "ingest": {key: value for key, value in asdict(finished).items() if key != "digest"},
        }
    )
    job.target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(store, job.target)
    shutil.rmtree(job.work)
    return finished


def _tables(split: CalvinSplit, episodes: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    length = episodes[:, 1] - episodes[:, 0] + 1
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(length)[:-1]])
    is_first = np.zeros(int(length.sum()), np.bool_)
    is_first[start] = True
    tables: dict[str, NDArray[Any]] = {
        "frame_id": _frame_ids(episodes),
        "is_first": is_first,
        "episode_start": start,
        "episode_length": length,
        "source_episode": episodes[:, 2],
    }
    if split.layouts is not None:
        tables["layout"] = split.layouts[episodes[:, 2]]
    return tables
