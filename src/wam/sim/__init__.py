"""The play table: a CALVIN-compatible simulator on PyBullet, its scripted experts and its worker pool."""

import os
import sys
import tempfile


def _import_quietly() -> None:
    """Import PyBullet without the line that it writes on import, in every process, about when it was built.

    It is written in C, so only the file descriptor can be watched; all else that comes by is passed on.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        screen = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            import pybullet  # noqa: F401, PLC0415 - for its side effect, inside the redirection
        finally:
            os.dup2(screen, 2)
            os.close(screen)
        caught.seek(0)
        os.write(2, b"".join(line for line in caught if not line.startswith(b"pybullet build time")))


if "pybullet" not in sys.modules and sys.stderr is not None:  # None: a program without any console
    _import_quietly()
