"""Ridge regression with a strength chosen per target, from sums that are gathered block by block."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from wam.training.checkpoint import Checkpoint

KIND: Final = "linear_probes"
FLOOR: Final = 1e-2
"""Smallest deviation that an input is divided by: a class that is hardly ever drawn must count for little."""

Block = tuple[NDArray[np.floating], NDArray[np.float64], NDArray[np.bool_]]
"""Inputs ``(n, F)``, targets ``(n, Q)``, and which rows are held back to choose the strength ``(n,)``."""


@dataclass(frozen=True)
class LinearProbes:
    """Linear readings of several quantities.

    Attributes:
        names: Of the Q quantities.
        weight: ``(F, Q)`` float64.
        bias: ``(Q,)`` float64.
        constant: ``(Q,)``, median of the training targets: the best guess of somebody who sees nothing.
        strength: ``(Q,)``, ridge strength that was chosen.
    """

    names: tuple[str, ...]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    constant: NDArray[np.float64]
    strength: NDArray[np.float64]

    def read(self, feat: NDArray[np.floating]) -> NDArray[np.float64]:
        """Readings ``(..., Q)`` of inputs ``(..., F)``."""
        return np.asarray(feat @ self.weight.astype(feat.dtype), np.float64) + self.bias

    def to_checkpoint(self) -> Checkpoint:
        """Weights and names; kind ``linear_probes``."""
        arrays = {name: getattr(self, name) for name in ("weight", "bias", "constant", "strength")}
        weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        return Checkpoint(KIND, weights, {"names": list(self.names)})

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "LinearProbes":
        """Rebuild probes.

        Raises:
            ValueError: If the checkpoint is of another kind.
        """
        arrays = {name: value.numpy() for name, value in checkpoint.expect(KIND).weights.items()}
        return cls(names=tuple(checkpoint.config["names"]), **arrays)


@dataclass
class _Sums:
    """Sums over rows of ``x = [inputs, targets]``, moved by a shift that keeps them well conditioned."""

    count: int
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @classmethod
    def zero(cls, width: int) -> "_Sums":
        return cls(0, np.zeros(width), np.zeros((width, width)))

    def add(self, rows: NDArray[np.float64]) -> None:
        self.count += len(rows)
        self.first += rows.sum(axis=0)
        self.second += rows.T @ rows

    def plus(self, other: "_Sums") -> "_Sums":
        return _Sums(self.count + other.count, self.first + other.first, self.second + other.second)

    def centred(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and covariance."""
        mean = self.first / self.count
        return mean, self.second / self.count - np.outer(mean, mean)


def fit_probes(blocks: Iterable[Block], names: Sequence[str], strengths: Sequence[float]) -> LinearProbes:
    """Fit one ridge regression per quantity.

    Inputs are centred and divided by their deviation (at least ``FLOOR``); the penalty is ``strength * rows``
    times the squared weights, the bias is not penalised. Each quantity takes the strength with the least
    squared error on the rows held back, then all rows are fitted with it.

    Args:
        blocks: Rows in any number of pieces, each read once.
        names: Of the Q quantities.
        strengths: Tried; with a single one nothing need be held back.

    Raises:
        ValueError: Without rows, or without a choice of rows where there are several strengths.
    """
    shift, used, held = np.zeros(0), _Sums.zero(0), _Sums.zero(0)
    targets: list[NDArray[np.float64]] = []
    for feat, target, held_back in blocks:
        rows = np.concatenate([feat.astype(np.float64), target], axis=1)
        if not targets:
            shift, used, held = rows.mean(axis=0), _Sums.zero(rows.shape[1]), _Sums.zero(rows.shape[1])
        used.add(rows[~held_back] - shift)
        held.add(rows[held_back] - shift)
        targets.append(target)
    if used.count == 0:
        raise ValueError("there are no frames to fit probes to")
    if len(strengths) > 1 and held.count == 0:
        raise ValueError(
            f"no frame is held back to choose among the strengths {list(strengths)}; give more episodes or "
            "one strength"
        )
    chosen = np.zeros(len(names), np.int64)
    if len(strengths) > 1:
        errors = [_error(held, *_solve(used, len(names), strength)) for strength in strengths]
        chosen = np.argmin(errors, axis=0)
    whole = used.plus(held)
    solved = [_solve(whole, len(names), strength) for strength in strengths]
    weight = np.stack([solved[place][0][:, q] for q, place in enumerate(chosen)], axis=1)
    bias = np.array([solved[place][1][q] for q, place in enumerate(chosen)])
    width = len(weight)
    return LinearProbes(
        names=tuple(names),
        weight=weight,
        bias=bias - shift[:width] @ weight + shift[width:],
        constant=np.median(np.concatenate(targets), axis=0),
        strength=np.asarray(strengths, np.float64)[chosen],
    )


def _solve(sums: _Sums, targets: int, strength: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights ``(F, Q)`` and bias ``(Q,)`` on shifted rows."""
    mean, covariance = sums.centred()
    width = len(mean) - targets
    scale = np.maximum(np.sqrt(np.maximum(np.diag(covariance)[:width], 0.0)), FLOOR)
    gram = covariance[:width, :width] / np.outer(scale, scale)
    gram[np.diag_indices(width)] += strength
    weight = np.linalg.solve(gram, covariance[:width, width:] / scale[:, None]) / scale[:, None]
    return weight, mean[width:] - mean[:width] @ weight


def _error(sums: _Sums, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared error ``(Q,)`` on the rows behind the sums."""
    mean, covariance = sums.centred()
    width = len(weight)
    spread = np.diag(covariance[width:, width:]) - 2 * (weight * covariance[:width, width:]).sum(axis=0)
    spread = spread + np.einsum("fq,fg,gq->q", weight, covariance[:width, :width], weight, optimize=True)
    offset = mean[width:] - mean[:width] @ weight - bias
    return np.asarray(spread + offset**2, np.float64)
