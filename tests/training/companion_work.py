"""What the companion tests call: importable, since it runs in another process."""

import logging
import os
import time

import torch

from wam.training import metrics

logger = logging.getLogger("wam.work")


class OddError(Exception):
    """Cannot be pickled by its arguments alone."""

    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(one)
        self.two = two


def describe(x: int) -> dict[str, object]:
    metrics.publish({"x": float(x)}, step=3)
    logger.info("working on %d", x)
    return {"pid": os.getpid(), "threads": torch.get_num_threads(), "double": 2 * x}


def fail(message: str) -> None:
    raise ValueError(message)


def fail_oddly() -> None:
    raise OddError(1, two=2)


def die() -> None:
    os._exit(7)


def sleep(seconds: float) -> None:
    time.sleep(seconds)
