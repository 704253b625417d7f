"""Allocator settings for training on a CPU."""

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_LARGEST_INT = 2**31 - 1


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

    Returns:
        Whether anything was returned.
    """
    libc = _glibc()
    return libc is not None and bool(libc.malloc_trim(0))


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
