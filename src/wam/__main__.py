"""``python -m wam``: the same as ``kedro run`` for the installed package."""

import sys
from collections.abc import Sequence
from pathlib import Path

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a pipeline as ``kedro run`` would.

    Args:
        arguments: Options of ``kedro run``; those of the command line by default.
    """
    configure_project(Path(__file__).parent.name)
    run = find_run_command("wam")
    run(list(sys.argv[1:] if arguments is None else arguments), standalone_mode=True)


if __name__ == "__main__":
    main()
