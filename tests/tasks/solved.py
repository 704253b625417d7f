"""Names of tasks that are done, for tests that compare sets of them."""

from numpy.typing import ArrayLike

from wam.tasks.predicates import succeeded
from wam.tasks.table import TASKS


def solved_tasks(start: ArrayLike, end: ArrayLike) -> set[str]:
    """Names of the tasks done between two single scene states ``(24,)``."""
    return {name for name, row in TASKS.items() if bool(succeeded(row, start, end))}
