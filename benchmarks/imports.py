"""Time of starting: `import wam` beside `import torch`, `kedro registry list` beside `kedro` alone.

Each line is the least of several new processes, in CPU seconds, so that a busy machine shows little:

    python -m benchmarks imports
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import verdict

PROJECT = Path(__file__).parents[1]
BARS = {
    ("import wam", "import torch"): 1.2,
    ("kedro registry list", "kedro (outside any project)"): 1.5,
}
"""Most times the second that the first may take."""


def cpu_seconds(command: list[str], folder: Path) -> float:
    """User and system time of one process and its children, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - our own commands
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks imports", description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="processes of each line")
    turns = parser.parse_args(arguments).turns
    kedro = os.fspath(Path(sys.executable).with_name("kedro"))
    with tempfile.TemporaryDirectory() as nowhere:
        rows = {
            "import torch": ([sys.executable, "-c", "import torch"], Path(nowhere)),
            "import wam": ([sys.executable, "-c", "import wam"], PROJECT),
            "import wam.world_model.model": ([sys.executable, "-c", "import wam.world_model.model"], PROJECT),
            "kedro (outside any project)": ([kedro, "--version"], Path(nowhere)),
            "kedro (in the project)": ([kedro, "--version"], PROJECT),
            "kedro registry list": ([kedro, "registry", "list"], PROJECT),
        }
        seconds = {}
        for name, (command, folder) in rows.items():
            seconds[name] = min(cpu_seconds(command, folder) for _ in range(turns))
            print(f"{seconds[name]:7.2f} s  {name}", flush=True)
    for (name, against), bar in BARS.items():
        ratio = seconds[name] / seconds[against]
        print(f"{ratio:7.2f} x  {name} / {against}, {verdict(ratio, bar, at_most=True)}: at most {bar}")


if __name__ == "__main__":
    main(sys.argv[1:])
