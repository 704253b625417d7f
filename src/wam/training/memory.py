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
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _LARGEST_INT}
    taken = [bool(libc.mallopt(name, value)) for name, value in settings.items()]
    return all(taken)
