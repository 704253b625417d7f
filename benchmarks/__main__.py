"""``python -m benchmarks`` lists the benchmarks; ``python -m benchmarks NAME [options]`` runs one.

Each prints a table that says which bars are reached, or figures of its own; all tell their options with
``--help``.
"""

import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """The first line of each file that can be run, by name."""
    texts = {path.stem: path.read_text() for path in sorted(FOLDER.glob("[a-z]*.py"))}
    runnable = {name: text for name, text in texts.items() if '\nif __name__ == "__main__":' in text}
    return {
        name: (ast.get_docstring(ast.parse(text)) or "").split("\n")[0] for name, text in runnable.items()
    }


def main() -> int:
    """List, or run the one that is named; returns its exit status."""
    known = benchmarks()
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        print("python -m benchmarks NAME [options]\n")
        for name, text in known.items():
            print(f"  {name:<18} {text}")
        return int(len(sys.argv) > 1)
    name, *options = sys.argv[1:]
    # A process of its own: what it starts in turn must find the benchmark's functions by their module's name.
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    return subprocess.run(command, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
