"""The loop that trains every model: world models, policies, classifiers."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from wam.contracts import LossOutput
from wam.parallel.progress import progress
from wam.training import metrics
from wam.training.config import Intervals, OptimizerConfig
from wam.training.ema import Averaging, WeightAverage
from wam.training.memory import keep_freed_memory
from wam.training.optim import learning_rate_at, make_optimizer
from wam.training.resume import (
    History,
    TrainingState,
    load_optimizer_tensors,
    load_state,
    optimizer_tensors,
    save_state,
)
from wam.training.team import ALONE, Team

logger = logging.getLogger(__name__)

USUAL = Intervals()


class Objective(Protocol):
    """What is trained, on what."""

    def modules(self) -> nn.Module:
        """The module whose parameters are optimised."""
        ...

    def loss(self, step: int) -> LossOutput:
        """Loss of optimisation step ``step``, counted from 0; all data and noise depend on the step."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """What else must be kept to resume, for example carried states and generator states."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from such a state."""
        ...


@runtime_checkable
class OwnGradient(Protocol):
    """An objective that computes its gradient itself: a batch in parts, or without autograd."""

    def accumulate(self, step: int) -> LossOutput:
        """Add the gradient of a step's loss; what it returns counts as its mean over the team."""
        ...


class TrainingError(RuntimeError):
    """Training cannot go on."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished run leaves behind, beside the trained module itself.

    Attributes:
        history: One row per point of the curves: ``step`` (steps finished) and metrics by name, averaged
            since the point before.
        ema_weights: State dict with averaged parameters, or None without averaging.
    """

    history: History
    ema_weights: dict[str, Tensor] | None


def steps_taken(planned: int, stop_after: int | None) -> int:
    """Steps (or iterations) that are really taken of so many planned; ``stop_after`` cuts a trial short."""
    return min(planned, stop_after or planned)


def train(
    objective: Objective,
    *,
    steps: int,
    optimizer: OptimizerConfig,
    averaging: Averaging | None = None,
    rate: Callable[[int], float] | None = None,
    stop_after: int | None = None,
    work_dir: Path | None = None,
    every: Intervals = USUAL,
    description: str,
    key: str = "",
    prefix: str = "",
    validate: Callable[[], Mapping[str, float]] | None = None,
    team: Team = ALONE,
    after: int = 0,
) -> TrainingResult:
    """Train, or go on training, until ``steps`` steps are done.

    A run that was killed and is started again with the same ``work_dir`` and ``key`` ends with the same
    bits as one that was not (on CPU, with the same number of threads). The module is left in evaluation
    mode with its last weights.

    Args:
        objective: What is trained.
        steps: Optimisation steps in all.
        optimizer: Its page.
        averaging: Of the weights; absent means none.
        rate: Step size of each optimisation step; absent, the optimiser's page says it.
        stop_after: End after this many steps although more are planned: a trial of a long run.
        work_dir: Folder for checkpoints; absent means none are written.
        every: When curves get a point, checkpoints are written and figures on held-out data made.
        description: For the progress bar and messages.
        key: Digest of everything that shapes the run; a checkpoint with another key is not used.
        prefix: Put before the names of published metrics.
        validate: Figures on held-out data by name, computed without gradient; must not change the objective.
        team: Of which this process is one; all of it must call this alike. Its first process validates,
            publishes and writes checkpoints, which a team of any size can go on from.
        after: Steps of an earlier part of the same training; curves count on from there.

    Raises:
        TrainingError: If the loss of a step is not finite, naming the step.
    """
    if next(objective.modules().parameters()).device.type == "cpu":
        keep_freed_memory()
    rate = rate or partial(learning_rate_at, optimizer, steps=steps)
    run = _Run(objective, optimizer, rate, averaging, key, team=team, after=after)
    steps = steps_taken(steps, stop_after)
    if work_dir is not None:
        run.resume(work_dir, description)
    objective.modules().train()
    with progress(steps, description, "step", initial=run.step, shown=team.leads) as bar:
        while run.step < steps:
            run.advance()
            bar.update(1)
            last = run.step == steps
            if run.step % every.log and not last:
                continue
            row = run.log(description)
            if validate is not None and team.leads and (last or every.ends("validation", run.step)):
                row |= _validate(objective, validate)
            run.publish(row, prefix)
            bar.set_postfix(loss=f"{row['loss']:.4g}")
            if work_dir is not None and (last or every.ends("checkpoint", run.step)):
                run.keep(work_dir)
    objective.modules().eval()
    objective.modules().zero_grad(set_to_none=True)  # nobody wants them, and they may lie in a graph's memory
    return TrainingResult(run.history, run.average.weights() if run.average else None)


def _validate(objective: Objective, validate: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    objective.modules().eval()
    with torch.no_grad():
        figures = dict(validate())
    objective.modules().train()
    return figures


class _Run:
    """A training run between two steps."""

    def __init__(
        self,
        objective: Objective,
        page: OptimizerConfig,
        rate: Callable[[int], float],
        averaging: Averaging | None,
        key: str,
        *,
        team: Team,
        after: int,
    ) -> None:
        self.objective = objective
        self.page = page
        self.rate = rate
        self.key = key
        self.team = team
        self.after = after
        self.step = 0
        self.history: History = []
        self.parameters = [p for p in objective.modules().parameters() if p.requires_grad]
        self.optimizer = make_optimizer(page, self.parameters)
        self.average = WeightAverage(objective.modules(), averaging) if averaging is not None else None
        self._pending: list[dict[str, Tensor]] = []

    def advance(self) -> None:
        """One optimisation step; never waits for the device."""
        rate = self.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, figures = self._gradient()
        norm = self._clip()
        self.optimizer.step()
        if self.average:
            self.average.follow(self.step)
        figures = {"loss": loss} | figures | {"grad_norm": norm, "learning_rate": torch.tensor(rate)}
        self._pending.append({name: value.detach() for name, value in figures.items()})
        self.step += 1

    def _clip(self) -> Tensor:
        """The gradient's norm, before it is cut to the configured limit."""
        limit = self.page.clip_limit
        if math.isinf(limit):
            return nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        return nn.utils.clip_grad_norm_(self.parameters, limit)

    def _gradient(self) -> LossOutput:
        if isinstance(self.objective, OwnGradient):
            self.optimizer.zero_grad(set_to_none=True)
            return self.objective.accumulate(self.step)
        output = self.objective.loss(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        output.loss.backward()  # type: ignore[no-untyped-call]
        return output

    def log(self, description: str) -> dict[str, float]:
        """Close a point of the curves and return its row."""
        names = self._pending[0].keys()
        columns = {name: torch.stack([row[name] for row in self._pending]).double() for name in names}
        if self.team.size > 1:
            table = torch.stack([column.to(columns["loss"].device) for column in columns.values()])
            columns = dict(zip(names, self.team.mean(table), strict=True))
        columns = {name: column.cpu() for name, column in columns.items()}
        bad = (~columns["loss"].isfinite()).nonzero()
        if len(bad):
            first = self.step - len(self._pending) + int(bad[0])
            raise TrainingError(
                f"{description}: the loss of step {first} is {columns['loss'][bad[0]].item()}; "
                "lower learning_rate or set grad_clip_norm, and check the data of that step"
            )
        row = {"step": float(self.after + self.step)} | {name: float(c.mean()) for name, c in columns.items()}
        self.history.append(row)
        self._pending.clear()
        return row

    def publish(self, row: Mapping[str, float], prefix: str) -> None:
        """Tell the first process' listeners of a point of the curves."""
        if self.team.leads:
            figures = {f"{prefix}{name}": value for name, value in row.items() if name != "step"}
            metrics.publish(figures, self.after + self.step)

    def keep(self, work_dir: Path) -> None:
        """Replace the checkpoint with everything a resumed run needs; only at a point of the curves."""
        tensors = {
            "model": dict(self.objective.modules().state_dict()),
            "optimizer": optimizer_tensors(self.optimizer),
            "objective": self.objective.state_dict(),
            "ema": self.average.state_dict() if self.average else {},
        }
        if self.team.leads:
            save_state(work_dir, TrainingState(self.key, self.step, self.history, tensors))

    def resume(self, work_dir: Path, description: str) -> None:
        """Go on from the checkpoint in ``work_dir``, if it is of this run."""
        state = load_state(work_dir, self.key)
        if state is None:
            return
        logger.info("%s: going on after step %d", description, state.step)
        self.step, self.history = state.step, state.history
        self.objective.modules().load_state_dict(state.tensors["model"])
        load_optimizer_tensors(self.optimizer, state.tensors.get("optimizer", {}))
        self.objective.load_state_dict(state.tensors.get("objective", {}))
        if self.average:
            self.average.load_state_dict(state.tensors["ema"])
