"""Allocator settings for training on a CPU."""

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that tensors free, instead of returning it to the system.

    Each training step allocates the same large buffers; when they go back to the system in between, every
    page is faulted in and zeroed again, a tenth of a step's time. Only glibc has the setting; elsewhere
    nothing is done.

    Returns:
        Whether it took effect.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
