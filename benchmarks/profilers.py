"""Where the time of one call goes: PyTorch's operations, or functions in all threads.

Apart from ``measure``, which runs where Zarr is not installed.
"""

import cProfile
import sys
import sysconfig
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile, record_function
from zarr.core.sync import cleanup_resources

OUTSIDE = "Python, between operations"
Shares = list[tuple[str, float]]
"""Names and their shares of the time of one call, the largest first."""
_SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
_WAITS = {
    "method 'acquire' of '_thread.lock' objects",
    "method 'get' of '_queue.SimpleQueue' objects",
    "method 'poll' of 'select.epoll' objects",
}


def by_operation(work: Callable[[], object]) -> Shares:
    """Profile PyTorch's operations by the time that they spend themselves, on the clock."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found, record_function(OUTSIDE):
        work()
    return _shares({event.key: event.self_cpu_time_total for event in found.key_averages()})


def by_function(work: Callable[[], object]) -> Shares:
    """Profile functions by the time that they spend themselves, on the clock, in threads that begin too.

    Waiting for another thread is left out. Python code of other packages is summed up by package; what
    Cython calls counts for its caller.
    """
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        mine = cProfile.Profile()
        profiles.append(mine)
        mine.enable()

    cleanup_resources()  # so that Zarr's threads begin anew
    if sys.version_info < (3, 12):  # from then on one profile is made at a time
        threading.setprofile(begin)
    begin()
    try:
        work()
    finally:
        profiles[0].disable()
        threading.setprofile(None)
        cleanup_resources()
    spent: dict[str, float] = defaultdict(float)
    for entry in (entry for one in profiles for entry in one.getstats()):
        name = _function_name(entry.code)
        spent[name] += 0.0 if name in _WAITS else entry.inlinetime
    return _shares(spent)


def _function_name(code: Any) -> str:
    """Name and file of a function of ours, package of another one; of one in C what it is called."""
    if isinstance(code, str):
        return code.strip("<>").removeprefix("built-in method ")
    file = Path(code.co_filename)
    if file.is_relative_to(_SITE_PACKAGES):
        return f"{file.relative_to(_SITE_PACKAGES).parts[0]} (Python)"
    if file.is_relative_to(_STANDARD_LIBRARY):
        return f"{Path(file.relative_to(_STANDARD_LIBRARY).parts[0]).stem} (Python)"
    return f"{code.co_qualname} ({file.name})"


def _shares(spent: Mapping[str, float]) -> Shares:
    total = sum(spent.values())
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    return [(name, value / total) for name, value in ordered if value > 0]
