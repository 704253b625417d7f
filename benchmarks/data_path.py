"""From a store to batches of windows, from files to a store: against memcpy, zarr-python and LUMOS.

Rows whose peer is not named are left out. Without a folder in CALVIN's format frames are made up.

    python -m benchmarks data_path --raw SPLIT_FOLDER --lumos DIR --extra DIR
"""

import argparse
import ctypes
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.ingest import make_folder
from benchmarks.measure import Row, cpu_seconds, ratio_row, save, table, take_turns
from benchmarks.peers import version_of
from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC
from wam.episodes.calvin_format import frame_file_name
from wam.episodes.image_files import is_mapped
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.sampler import gather_batch
from wam.episodes.store import Episodes, EpisodeStore
from wam.parallel.map import shutdown_workers
from wam.training.memory import keep_freed_memory

METHOD = (
    "Median [smallest..largest] ratio of CPU seconds (`time.process_time`) of all threads, both sides in "
    "turn in one process, files in the page cache, the allocator settings of training on both sides. "
    "Batches: windows at random places; memcpy copies the bytes of the same windows' images, one call for "
    "each window and camera, to memory that was used before; ours also gathers actions, proprioception "
    "and starts. LUMOS's loader and collation turn images to normalised floats; ours leaves them bytes, "
    "which the model takes. Loading: all arrays, zarr-python with its own settings. Ingest: one process; "
    "LUMOS's script writes one compressed file a frame, ours a store; every picture is compared "
    "afterwards."
)
CAMERAS = (IMAGE_STATIC, IMAGE_GRIPPER)


def memcpy_windows(episodes: Episodes, first: NDArray[np.int64], steps: int) -> Callable[[], None]:
    """Copy the images of windows, one call each, to memory that is kept."""
    shape = (len(first), steps, *episodes.image_static.shape[1:])
    targets = [np.zeros(shape, np.uint8) for _ in CAMERAS]
    sources = (episodes.image_static, episodes.image_gripper)
    size = targets[0][0].nbytes
    calls = [
        (target.ctypes.data + number * size, source.ctypes.data + row * source[0].nbytes)
        for target, source in zip(targets, sources, strict=True)
        for number, row in enumerate(first.tolist())
    ]

    def work() -> None:
        assert targets and sources  # noqa: PT018 - named here, they live as long as their addresses are used
        for to, origin in calls:
            ctypes.memmove(to, origin, size)

    return work


def random_windows(episodes: Episodes, batch: int, steps: int, *, spare: int = 0) -> NDArray[np.int64]:
    """First frames of windows inside episodes that leave out their last ``spare`` frames."""
    rng = np.random.default_rng(0)
    length = episodes.episode_length - spare
    chosen = rng.choice(np.flatnonzero(length >= steps), batch)
    offset = rng.integers(0, length[chosen] - steps + 1)
    first: NDArray[np.int64] = episodes.episode_start[chosen] + offset
    return first


def window_row(episodes: Episodes, args: argparse.Namespace, where: str) -> Row:
    """Our batch against copying its images."""
    first = random_windows(episodes, args.batch, args.steps)
    rows = first[:, None] + np.arange(args.steps)
    sides: dict[str, Callable[[], object]] = {
        "memcpy": memcpy_windows(episodes, first, args.steps),
        "ours": lambda: gather_batch(episodes, rows),
    }
    seconds = take_turns(sides, args.turns)
    work = f"batch of {args.batch} windows of {args.steps} frames from {where}"
    return ratio_row(work, "memcpy of the same windows", seconds["memcpy"], seconds["ours"], bar=0.9)


def lumos_row(episodes: Episodes, args: argparse.Namespace, scratch: Path) -> Row:
    """Our batch against LUMOS's cached loader."""
    from benchmarks.peers import lumos_data  # noqa: PLC0415 - drivers are loaded only where their peer is named

    data = scratch / "cache" / "training"
    lumos_data.write_cache(data, episodes)
    theirs = lumos_data.batches(args.lumos, data, args.steps)
    first = random_windows(episodes, args.batch, args.steps, spare=1)  # its loader never gives the last frame
    rows = first[:, None] + np.arange(args.steps)
    sides: dict[str, Callable[[], object]] = {
        "theirs": lambda: theirs(first),
        "ours": lambda: gather_batch(episodes, rows),
    }
    seconds = take_turns(sides, args.turns)
    work = f"batch of {args.batch} windows of {args.steps} frames from memory"
    return ratio_row(work, "LUMOS's cached loader", seconds["theirs"], seconds["ours"], bar=100.0)


def read_with_zarr(store: EpisodeStore) -> list[NDArray[np.generic]]:
    """Every array by zarr-python."""
    names = [path.parent.name for path in sorted(store.path.glob("*/zarr.json"))]
    return [np.asarray(store.array(name)[...]) for name in names]


def load_row(path: Path, args: argparse.Namespace) -> Row:
    """Loading a whole store against zarr-python."""
    opened = EpisodeStore(path)
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: EpisodeStore(path).load(),
        "theirs": lambda: read_with_zarr(EpisodeStore(path)),
    }
    seconds = take_turns(sides, args.turns)
    begin = time.perf_counter()
    episodes = opened.load()
    wall = time.perf_counter() - begin
    size = (episodes.image_static.nbytes + episodes.image_gripper.nbytes) / 1e9
    note = f"{size:.2f} GB of memory in {wall:.2f} s on {torch.get_num_threads()} or more cores"
    work = f"loading a store of {episodes.num_frames:,} frames"
    return ratio_row(work, "zarr-python", seconds["theirs"], seconds["ours"], bar=3.5, note=note)


def ingest_row(args: argparse.Namespace, scratch: Path) -> Row:
    """Packing frames against LUMOS's script; every picture is compared."""
    from benchmarks.peers import lumos_data  # noqa: PLC0415

    source, shrunk, packed = scratch / "calvin", scratch / "shrunk", scratch / "packed.zarr"
    source.mkdir()
    make_folder(source / "training", args.ingest_frames, min(args.distinct, args.ingest_frames))
    (source / "validation").mkdir()
    shutil.copy(source / "training" / "ep_start_end_ids.npy", source / "validation")

    def ours() -> None:
        shutil.rmtree(packed, ignore_errors=True)
        ingest_split(source / "training", packed, IngestConfig(workers=1, require_annotations=False))

    sides = {"ours": ours, "theirs": lambda: lumos_data.shrink(args.lumos, source, shrunk)}
    seconds = {name: [cpu_seconds(work) for _ in range(args.ingest_turns)] for name, work in sides.items()}
    episodes = EpisodeStore(packed).load()
    for row, frame in enumerate(episodes.frame_id.tolist()):
        static, gripper = lumos_data.shrunk_images(shrunk, frame_file_name(frame))
        if not (
            np.array_equal(static, episodes.image_static[row])
            and np.array_equal(gripper, episodes.image_gripper[row])
        ):
            raise AssertionError(f"the pictures of frame {frame} differ")
    rate = episodes.num_frames / min(seconds["ours"])
    return ratio_row(
        f"ingest of {episodes.num_frames:,} frames in CALVIN's format, equal pictures",
        "LUMOS's script",
        seconds["theirs"],
        seconds["ours"],
        bar=2.4,
        note=f"ours {rate:,.0f} frames per CPU second",
    )


def pack(args: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    """The same frames in both layouts."""
    raw = args.raw
    if raw is None:
        raw = scratch / "raw"
        make_folder(raw, args.frames, min(args.distinct, args.frames))
    paths = {}
    for layout in ("compressed", "mapped"):
        paths[layout] = scratch / f"{layout}.zarr"
        settings = IngestConfig(images=layout, require_annotations=False)
        ingest_split(raw, paths[layout], settings)
    shutdown_workers()
    return paths


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks data_path", description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, help="split folder in CALVIN's format; else frames are made up")
    parser.add_argument("--lumos", type=Path, help="folder that holds lumos")
    parser.add_argument("--extra", type=Path, help="folder with packages that peers import")
    parser.add_argument("--frames", type=int, default=8192, help="made up, where no folder is named")
    parser.add_argument("--distinct", type=int, default=256, help="of the made-up frames differ")
    parser.add_argument("--ingest-frames", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--ingest-turns", type=int, default=2)
    parser.add_argument("--place", type=Path, help="folder for scratch files, removed afterwards")
    parser.add_argument("--save", type=Path, help="folder for the page, docs/results")
    return parser.parse_args(arguments)


def measure(args: argparse.Namespace, scratch: Path) -> list[Row]:
    """All rows whose peers are named."""
    paths = pack(args, scratch)
    rows = [load_row(paths["compressed"], args)]
    episodes = EpisodeStore(paths["compressed"]).load()
    rows.append(window_row(episodes, args, "memory"))
    store = EpisodeStore(paths["mapped"])
    assert is_mapped(store.array(IMAGE_STATIC))
    rows.append(window_row(store.load(), args, "an uncompressed store mapped into memory"))
    if args.lumos:
        rows.append(lumos_row(episodes, args, scratch))
        rows.append(ingest_row(args, scratch))
    return rows


def main(arguments: list[str]) -> list[Row]:
    """Measure and print."""
    args = parse(arguments)
    torch.set_num_threads(1)
    if args.extra:
        sys.path.insert(0, str(args.extra.resolve()))
    keep_freed_memory()
    with tempfile.TemporaryDirectory(dir=args.place) as scratch:
        rows = measure(args, Path(scratch))
    print(table(rows))
    if args.save:
        peers = f" Peers: lumos {version_of(args.lumos)}." if args.lumos else ""
        page = save(rows, args.save, "data-path", "Data path against memcpy and peers", METHOD + peers)
        print(f"written to {page}")
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
