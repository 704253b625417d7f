"""What packing CALVIN D will cost, extrapolated from files of the same layout made here.

Writes frames with the ten keys, shapes and types of the data set (a few hundred different ones, copied to the
number asked for), packs them as ``kedro run --pipelines ingest`` does, and scales time and bytes to 611,099
frames. The download itself was not available: contents are made up.

    python -m benchmarks ingest --files 2000 --workers 2
    python -m benchmarks ingest --files 50000 --workers 8 --place /scratch --save docs/results
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from calvin_download import frames_of
from calvin_folder import make_robot_obs, make_scene_obs

from benchmarks.measure import machine, save_page
from wam.episodes.calvin_frame import frame_file_name
from wam.episodes.calvin_writer import SplitWriter, relative_actions
from wam.episodes.ingest import IngestConfig, ingest_split
from wam.episodes.ingest_plan import duration
from wam.parallel.map import shutdown_workers

DATA_SET_FRAMES = 611_099
"""Training and validation of CALVIN D."""
DATA_SET_BYTES = 166e9
EPISODE_FRAMES = 20_000
"""Long recordings without reset, as in the data set."""


def make_folder(
    folder: Path, files: int, distinct: int, *, episode_frames: int = EPISODE_FRAMES, linked: bool = False
) -> None:
    """Write ``files`` frames, of which ``distinct`` differ in content; the others are copies or links."""
    rng = np.random.default_rng(0)
    robot, scene = make_robot_obs(distinct + 1, rng), make_scene_obs(distinct, rng)
    absolute, relative = relative_actions(robot)
    folder.mkdir()
    for row, images in enumerate(frames_of(rng, distinct, extras=True)):
        vectors = {"actions": absolute[row], "rel_actions": relative[row], "robot_obs": robot[row]}
        np.savez_compressed(folder / frame_file_name(row), **vectors, scene_obs=scene[row], **images)
    put = os.link if linked else shutil.copyfile
    for number in range(distinct, files):
        put(folder / frame_file_name(number % distinct), folder / frame_file_name(number))
    firsts = np.arange(0, files, episode_frames)
    SplitWriter(folder).finish(
        episodes=np.stack([firsts, np.minimum(firsts + episode_frames, files) - 1], axis=1),
        annotations=[],
        robot_obs=robot[:-1],
        scene_obs=scene,
        training=True,
    )


def tree_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@dataclass(frozen=True)
class Packing:
    """What packing a folder took.

    Attributes:
        frames: Packed.
        workers: Processes.
        seconds: From the first look at the folder to the finished store.
        raw_bytes: Of all files that were read.
        packed_bytes: Of the store.
        own_mb: Largest resident size of the process that leads.
        worker_mb: Of the largest worker.
    """

    frames: int
    workers: int
    seconds: float
    raw_bytes: int
    packed_bytes: int
    own_mb: float
    worker_mb: float

    def lines(self) -> list[str]:
        """What was measured, and what follows for the data set."""
        scale = DATA_SET_FRAMES / self.frames
        return [
            f"Measured: {self.frames:,} files of {self.raw_bytes / self.frames / 1e3:.0f} KB "
            f"(the data set's have {DATA_SET_BYTES / DATA_SET_FRAMES / 1e3:.0f} KB on average) "
            f"in {self.seconds:.1f} s with {self.workers} workers: "
            f"{self.frames / self.seconds:.0f} frames/s; "
            f"{self.packed_bytes / self.frames / 1e3:.1f} KB a packed frame; "
            f"peak memory {self.own_mb:.0f} MB, largest worker {self.worker_mb:.0f} MB.",
            f"Extrapolated to {DATA_SET_FRAMES:,} frames, not measured: {duration(self.seconds * scale)} "
            f"with {self.workers} workers, {self.packed_bytes * scale / 1e9:.1f} GB on disk. Files had just "
            "been written, so as many as memory holds were in the page cache: a slow disk or network adds "
            "the time to read 166 GB.",
        ]


def measure(place: Path, files: int, distinct: int, workers: int) -> Packing:
    """Make a folder of that many files and pack it.

    Args:
        place: Scratch folder.
        files: Frame files.
        distinct: Of which differ in content.
        workers: Processes that pack.
    """
    source, target = place / "training", place / "training.zarr"
    make_folder(source, files, min(distinct, files))
    raw_bytes = tree_bytes(source)
    begin = time.perf_counter()
    report = ingest_split(source, target, IngestConfig(workers=workers))
    seconds = time.perf_counter() - begin
    shutdown_workers()
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own_mb, worker_mb = (resource.getrusage(who).ru_maxrss / 1e3 for who in whose)
    return Packing(report.num_frames, workers, seconds, raw_bytes, tree_bytes(target), own_mb, worker_mb)


def save(found: Packing, folder: Path) -> Path:
    """Write ``<date>-ingest.md`` and ``.json`` and return the page."""
    facts = machine() | {"cores": str(os.cpu_count()), "n": "1"}
    title, content = "Packing files in CALVIN's layout", {"packing": asdict(found)}
    return save_page(folder / "ingest", title, facts, content, found.lines())


def main() -> None:
    """Measure, then extrapolate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--files", type=int, default=2_000, help="frame files to pack; 50000 for a firm figure"
    )
    parser.add_argument("--distinct", type=int, default=200, help="of which differ in content")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--place", type=Path, default=None, help="folder for scratch files, removed afterwards"
    )
    parser.add_argument("--save", type=Path, default=None, help="folder for page and data, docs/results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.place) as scratch:
        found = measure(Path(scratch), options.files, options.distinct, options.workers)
    print("\n".join(found.lines()))
    if options.save:
        print(f"written to {save(found, options.save)}")


if __name__ == "__main__":
    main()
