"""Pieces of work that spawned workers can import."""

import os
import time
from pathlib import Path

import numpy as np


def double(piece: int) -> int:
    return 2 * piece


def meet(folder: str) -> int:
    """Wait until two processes are here."""
    (Path(folder) / str(os.getpid())).touch()
    for _ in range(6000):
        if len(list(Path(folder).iterdir())) == 2:
            return os.getpid()
        time.sleep(0.01)
    raise TimeoutError("only one process works")


def stay(piece: tuple[str, float]) -> int:
    """Meet the other process, then work for so many seconds."""
    folder, seconds = piece
    process = meet(folder)
    time.sleep(seconds)
    return process


def slow_when_even(piece: int) -> tuple[int, int]:
    time.sleep(0.05 if piece % 2 == 0 else 0.0)
    return piece, os.getpid()


def fail_at_three(piece: int) -> int:
    if piece == 3:
        raise ZeroDivisionError("three is bad")
    return piece


def touch(piece: tuple[str, int]) -> int:
    folder, index = piece
    (Path(folder) / str(index)).touch()
    return index


def die(piece: int) -> int:
    if piece == 1:
        os._exit(9)
    return piece


def threads(_piece: int) -> tuple[int, str]:
    import cv2
    import torch

    return torch.get_num_threads() + cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"]


def array(piece: int) -> dict[str, np.ndarray]:
    return {"row": np.arange(5, dtype=np.float32) * piece, "name": np.array([f"piece {piece}"])}


def die_once(piece: tuple[str, int]) -> int:
    """The first try ends its worker."""
    folder, index = piece
    mark = Path(folder) / f"died {index}"
    if index % 5 == 1 and not mark.exists():  # two of eight: a piece beside both still has a try left
        mark.touch()
        os._exit(9)
    return index


def slow_on_a_node(piece: tuple[str, int]) -> int:
    """Note where it was begun, and take its time."""
    import ray

    folder, index = piece
    (Path(folder) / f"{ray.get_runtime_context().get_node_id()} {index}").touch()
    time.sleep(3)
    return index
