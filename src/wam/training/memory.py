"""Allocator settings for training on a CPU."""

import ctypes
import os
import platform
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_LARGEST_INT = 2**31 - 1
WORTH_GIVING_BACK = 512 * 2**20
"""Bytes from which returning freed memory is worth its cost."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory that tensors free, instead of returning it to the system.

    Each training step allocates the same large buffers; when they go back to the system in between, every
    page is faulted in and zeroed again, a tenth of a step's time. Threads that start later share the main
    thread's memory: one of their own would be given back all the same. Only glibc has the settings; elsewhere
    nothing is done. Calling it again changes nothing.

    Returns:
        Whether it took effect.
    """
    libc = _glibc()
    if libc is None:
        return False
    settings = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _LARGEST_INT}
    taken = [bool(libc.mallopt(name, value)) for name, value in settings.items()]
    return all(taken)


def give_back_freed_memory() -> bool:
    """Return what was freed to the system, between two pieces of work; does nothing without glibc.

    It takes the allocator's lock, and whoever works beside faults its pages in again: only much is returned.

    Returns:
        Whether anything was returned.
    """
    libc = _glibc()
    return libc is not None and _idle_bytes(libc) > WORTH_GIVING_BACK and bool(libc.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _idle_bytes(libc: ctypes.CDLL) -> float:
    """Memory of this process that is resident and that the allocator has not handed out, roughly."""
    if not hasattr(libc, "mallinfo2"):  # before glibc 2.33
        return float("inf")
    libc.mallinfo2.restype = _MallocInfo
    _, resident, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") - float(libc.mallinfo2().uordblks)


class _MallocInfo(ctypes.Structure):
    """What ``mallinfo2`` gives; ``uordblks`` is handed out."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]
