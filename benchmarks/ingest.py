"""What packing CALVIN D will cost, extrapolated from files of the same layout made here.

Writes frames with the ten keys, shapes and types of the data set (a few hundred different ones, copied to the
number asked for), packs them as ``kedro run --pipelines ingest`` does, and scales time and bytes to 611,099
frames. The download itself was not available: contents are made up.

    python benchmarks/ingest.py --files 2000 --workers 2
    python benchmarks/ingest.py --files 50000 --workers 8 --place /scratch
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from calvin_download import frames_of
from calvin_folder import make_robot_obs, make_scene_obs

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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.place) as scratch:
        source, target = Path(scratch) / "training", Path(scratch) / "training.zarr"
        make_folder(source, options.files, min(options.distinct, options.files))
        read = tree_bytes(source)
        begin = time.perf_counter()
        report = ingest_split(source, target, IngestConfig(workers=options.workers))
        seconds = time.perf_counter() - begin
        written = tree_bytes(target)
        shutdown_workers()
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peaks = [resource.getrusage(who).ru_maxrss / 1e3 for who in whose]
    scale = DATA_SET_FRAMES / report.num_frames
    print(
        f"measured: {report.num_frames:,} files of {read / report.num_frames / 1e3:.0f} KB "
        f"(the data set's have {DATA_SET_BYTES / DATA_SET_FRAMES / 1e3:.0f} KB on average) "
        f"in {seconds:.1f} s with {options.workers} workers: {report.num_frames / seconds:.0f} frames/s; "
        f"{written / report.num_frames / 1e3:.1f} KB a packed frame; "
        f"peak memory {peaks[0]:.0f} MB, largest worker {peaks[1]:.0f} MB"
    )
    print(
        f"extrapolated to {DATA_SET_FRAMES:,} frames, not measured: {duration(seconds * scale)} with "
        f"{options.workers} workers, {written * scale / 1e9:.1f} GB on disk; files were in the page cache: "
        "a slow disk or network adds the time to read 166 GB"
    )


if __name__ == "__main__":
    main()
