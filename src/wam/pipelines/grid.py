"""The grid in one place: stages, which conditions are compared, on which tasks, and how a cell is built.

A cell is a namespace ``{world_model}.{task}``. Beside the trained world models stand conditions without
one: policies that see proprioception or the simulator's state instead of features, the scripted expert,
and random actions. They run from the same starts, so that a success rate can be read.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self

from kedro.pipeline import Pipeline

from wam.tasks.table import TASK_NAMES

STAGES: Final = (
    "play",
    "ingest",
    "world_model",
    "features",
    "rewards",
    "behavior_cloning",
    "diagnostics",
    "ppo",
    "evaluation",
    "reporting",
)
"""The stages in the order in which data flows."""
WORLD_MODELS: Final = ("wam", "diwa")
"""Rows of ``parameters_world_models.yml``; adding one there and here adds its cells."""
PROPRIO: Final = "proprio"
BLIND: Final = (PROPRIO, "privileged")
"""Policies cloned without a world model: on proprioception alone, and on the whole simulator state."""
REFERENCES: Final = ("expert", "random")
"""What is not learned: the scripted expert and uniformly random actions."""
CONDITIONS: Final = (*WORLD_MODELS, *BLIND, *REFERENCES)
TASKS: Final = TASK_NAMES


class Variant(str):
    """A world model under a name of its own, with settings of its own; it stands wherever a condition does.

    Args:
        name: Of the condition.
        own: Pages that it reads elsewhere than the conditions of the grid: dataset name in the node to that
            in the catalog.
        refined: Whether its policies are refined by PPO.
    """

    own: Mapping[str, str]
    refined: bool

    def __new__(cls, name: str, own: Mapping[str, str], *, refined: bool) -> Self:
        """A name that carries its pages."""
        self = super().__new__(cls, name)
        self.own, self.refined = dict(own), refined
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str, Mapping[str, str]], dict[str, bool]]:
        """It goes to other processes, as the name of the progress bars there."""
        return (str(self), self.own), {"refined": self.refined}


def is_world_model(condition: str) -> bool:
    """Whether a condition is neither a control nor a reference."""
    return condition not in (*BLIND, *REFERENCES)


def is_refined(condition: str) -> bool:
    """Whether PPO refines a condition's policies."""
    return condition.refined if isinstance(condition, Variant) else is_world_model(condition)


def cell_of(namespace: str | None) -> tuple[str, str] | None:
    """Condition and task of a cell's namespace, ``None`` for any other."""
    parts = (namespace or "").split(".")
    if len(parts) == 2 and parts[1] in TASKS:
        return parts[0], parts[1]
    return None


def cells(
    nodes: Callable[[], Pipeline],
    conditions: Iterable[str],
    *,
    shared: Iterable[str] = (),
    of_condition: Iterable[str] = (),
    parameters: Iterable[str] = (),
    rows: Mapping[str, str] | None = None,
) -> Pipeline:
    """One copy of a stage's nodes for every condition and task.

    Args:
        nodes: Makes the stage's nodes with plain dataset names.
        conditions: World models or controls.
        shared: Inputs that all cells read under their own name, such as ``starts``.
        of_condition: Inputs that belong to a condition, such as ``world_model``.
        parameters: Pages shared by all cells.
        rows: Pages of which each condition has a row: name in the node to name of the table. Each cell's
            ``task`` is its row of ``tasks`` in any case.
    """
    made = nodes()
    return Pipeline(
        Pipeline(
            made,
            namespace=f"{condition}.{task}",
            inputs={
                **{name: name for name in shared},
                **{name: f"{condition}.{name}" for name in of_condition},
            },
            parameters=_pages(
                made,
                condition,
                parameters,
                {**_own_rows(rows, condition), "params:task": f"params:tasks.{task}"},
            ),
            tags=[condition, task],
        )
        for condition in conditions
        for task in TASKS
    )


def of_each(
    nodes: Callable[[], Pipeline],
    conditions: Iterable[str],
    *,
    shared: Iterable[str] = (),
    parameters: Iterable[str] = (),
    rows: Mapping[str, str] | None = None,
) -> Pipeline:
    """One copy of a stage's nodes for every condition, whatever the task.

    Args:
        nodes: Makes the stage's nodes with plain dataset names.
        conditions: World models or controls.
        shared: Inputs that all copies read under their own name.
        parameters: Pages shared by all copies.
        rows: Pages of which each condition has a row: name in the node to name of the table.
    """
    made = nodes()
    return Pipeline(
        Pipeline(
            made,
            namespace=condition,
            inputs={name: name for name in shared},
            parameters=_pages(made, condition, parameters, _own_rows(rows, condition)),
            tags=[condition],
        )
        for condition in conditions
    )


def _own_rows(rows: Mapping[str, str] | None, condition: str) -> dict[str, str]:
    return {f"params:{name}": f"params:{table}.{condition}" for name, table in (rows or {}).items()}


def _pages(nodes: Pipeline, condition: str, shared: Iterable[str], rows: Mapping[str, str]) -> dict[str, str]:
    pages = {**{f"params:{name}": f"params:{name}" for name in shared}, **rows}
    if isinstance(condition, Variant):
        pages |= {name: page for name, page in condition.own.items() if name in nodes.inputs()}
    return pages
