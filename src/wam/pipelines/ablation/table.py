"""The table of an ablation: rows of settings, the seeds of each, and the questions that they answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field, model_validator

from wam.contracts import config, dotted, merged
from wam.tasks.table import TASK_NAMES

MODEL_PAGES: Final = ("world_model", "world_model_training")
"""Pages whose changes go into a row of the table of world models."""
OTHER_PAGES: Final = (
    "features",
    "policy",
    "behavior_cloning",
    "rewards",
    "classifier",
    "classifier_training",
    "readout",
    "readout_training",
    "calibration",
    "ppo",
)
"""Pages that a row may change besides. Data, starts and evaluation are the same for all rows."""
SHARED_PAGES: Final = (*MODEL_PAGES, "features")
"""Pages that say how world models and features are made: a row that takes another's cannot change them."""
PLAIN_NAME: Final = re.compile(r"[a-z0-9_]+")


@config
class AblationRow:
    """One row: all in which it differs from a world model of the grid."""

    of: str | None = None
    """Row of ``parameters_world_models.yml`` that it starts from."""
    models_of: str | None = None
    """In its place: row of this table whose world models and features it takes, seed by seed."""
    seeds: tuple[str, ...] = Field(min_length=1)
    """Names of the seeds that it is trained with."""
    action_coef: float | None = Field(default=None, ge=0)
    """Weight of the inverse-dynamics loss, where it differs."""
    ppo: bool = False
    """Whether its policies are also refined by PPO."""
    changes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings by page, nested as there."""

    @model_validator(mode="after")
    def _starts_somewhere(self) -> "AblationRow":
        if (self.of is None) == (self.models_of is None):
            raise ValueError("a row needs either `of` or `models_of`")
        if self.models_of is not None:
            changed: list[str] = [page for page in SHARED_PAGES if page in self.changes]
            changed += [] if self.action_coef is None else ["action_coef"]
            if changed:
                raise ValueError(
                    f"a row that takes the world models of {self.models_of} cannot change "
                    f"{', '.join(changed)}; start it from a world model with `of`"
                )
        return self

    def settings(self) -> dict[str, Any]:
        """What it starts from, and the settings in which it differs by dotted name, for a reader."""
        start = {"of": self.of} if self.models_of is None else {"models of": self.models_of}
        own: dict[str, Any] = {} if self.action_coef is None else {"action_coef": self.action_coef}
        return start | own | dict(dotted(self.changes))


@config
class Question:
    """Rows that are compared."""

    asks: str
    """The question in words."""
    baseline: str
    """Row that the others are compared with."""
    rows: tuple[str, ...] = Field(min_length=1)
    """The others."""


@config
class AblationTable:
    """The page ``ablation``."""

    title: str
    """Headline of the page."""
    bootstrap_seed: int = Field(ge=0)
    """Of the intervals."""
    seeds: dict[str, int]
    """Seeds of world model, cloning, PPO and evaluation, by name."""
    rows: dict[str, AblationRow]
    """Rows by name."""
    questions: dict[str, Question]
    """Questions by name, which is also a tag of their cells."""

    @model_validator(mode="after")
    def _names_fit(self) -> "AblationTable":
        for name in (*self.seeds, *self.rows, *self.questions):
            if not PLAIN_NAME.fullmatch(name) or name in TASK_NAMES:
                raise ValueError(f"{name!r} is no name: use a-z, 0-9 and _, and no task's name")
        for name, row in self.rows.items():
            _refuse_unknown(f"rows.{name}.seeds", row.seeds, self.seeds)
            _refuse_unknown(f"rows.{name}.changes", row.changes, (*MODEL_PAGES, *OTHER_PAGES))
            if row.models_of is not None:
                makers = {maker: made.seeds for maker, made in self.rows.items() if made.of is not None}
                _refuse_unknown(f"rows.{name}.models_of", (row.models_of,), makers)
                _refuse_unknown(f"rows.{name}.seeds", row.seeds, makers[row.models_of])
        for name, question in self.questions.items():
            _refuse_unknown(f"questions.{name}", (question.baseline, *question.rows), self.rows)
        return self

    def questions_of(self, row: str) -> list[str]:
        """Names of the questions in which a row has a part."""
        return [n for n, q in self.questions.items() if row in (q.baseline, *q.rows)]


@dataclass(frozen=True)
class AblationCell:
    """One row with one seed.

    Attributes:
        row: Name of the row.
        seed: Name of the seed.
    """

    row: str
    seed: str

    @property
    def name(self) -> str:
        """Of its condition: namespace, folder and key of its pages."""
        return f"{self.row}-{self.seed}"


def maker_of(table: AblationTable, cell: AblationCell) -> AblationCell:
    """The cell whose world model and features a cell uses: itself, unless its row takes another's."""
    return AblationCell(table.rows[cell.row].models_of or cell.row, cell.seed)


def cells_of_table(table: AblationTable) -> list[AblationCell]:
    """Every row with each of its seeds, the first seeds of all rows first."""
    seeds = list(table.seeds)
    cells = [AblationCell(name, seed) for name, row in table.rows.items() for seed in row.seeds]
    return sorted(cells, key=lambda cell: seeds.index(cell.seed))


def cell_pages(table: AblationTable, parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each cell reads in place of the pages that all share, by cell and page.

    Args:
        table: The table.
        parameters: Plain values of all pages.

    Raises:
        ValueError: If a row starts from a world model that is not there.
    """
    pages: dict[str, dict[str, Any]] = {}
    for cell in cells_of_table(table):
        maker, row = maker_of(table, cell).row, table.rows[cell.row]
        changed = {page: row.changes[page] for page in OTHER_PAGES if page in row.changes}
        pages[cell.name] = {
            "seed": table.seeds[cell.seed],
            "row": _model_row(maker, table.rows[maker], parameters["world_models"]),
            **{page: merged(parameters[page], values) for page, values in changed.items()},
        }
    return pages


def _model_row(name: str, row: AblationRow, world_models: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the table of world models that a row of this table stands for."""
    assert row.of is not None, "who makes world models starts from one"
    _refuse_unknown(f"rows.{name}.of", (row.of,), world_models)
    own: dict[str, Any] = {} if row.action_coef is None else {"action_coef": row.action_coef}
    own |= {page: row.changes[page] for page in MODEL_PAGES if page in row.changes}
    return merged(world_models[row.of], own)


def _refuse_unknown(place: str, names: Any, known: Any) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"ablation.{place} names {', '.join(unknown)}; known: {', '.join(sorted(known))}")
