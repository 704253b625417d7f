"""How well readings match the truth: a table beside the guess of somebody who sees nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wam.diagnostics.config import ProbeConfig, ToleranceConfig
from wam.diagnostics.frames import JudgedFrames, training_blocks
from wam.diagnostics.quantities import Quantity
from wam.diagnostics.ridge import LinearProbes, fit_probes
from wam.episodes.store import Episodes
from wam.seeding import numpy_generator
from wam.tasks.table import LIGHT_ON

DRAWS: Final = 2000
"""Bootstrap draws over episodes."""
CONFIDENCE: Final = 0.95
FEATURES, PROPRIO = "features", "proprio"
"""What a probe reads."""
COLUMNS: Final = (
    *("quantity", "title", "group", "reads", "is_light", "score", "low", "high", "constant"),
    *("tolerance", "passes", "frames", "episodes"),
)


def misses(
    reading: NDArray[np.float64], truth: NDArray[np.float64], listed: Sequence[Quantity]
) -> NDArray[np.float64]:
    """Absolute errors (cm), and 1 for a light read wrongly; shape of the arguments ``(..., Q)``."""
    light = np.array([quantity.is_light for quantity in listed])
    wrong = (reading > LIGHT_ON) != (truth > LIGHT_ON)
    return np.where(light, wrong, np.abs(reading - truth)).astype(np.float64)


def fit_and_score(
    features: Mapping[str, Any],
    training: Episodes,
    judged: JudgedFrames,
    listed: Sequence[Quantity],
    *,
    config: ProbeConfig,
    tolerances: ToleranceConfig,
    seed: int,
) -> tuple[LinearProbes, pd.DataFrame]:
    """Fit probes of features and of raw proprioception on the same training frames, and judge both.

    Args:
        features: ``feat`` ``(N, F)`` and ``frame_id`` ``(N,)`` of all training frames, in memory or lazy.
        training: Those frames; images are not needed.
        judged: Held-out frames.
        listed: The quantities, in the order of the frames' true values.
        config: How probes are fitted.
        tolerances: Pass marks.
        seed: Of the bootstrap.

    Returns:
        The probes of features, and scores of both, see :func:`score_probes`.
    """
    probes, tables = {}, []
    for reads, held_out in ((FEATURES, judged.feat), (PROPRIO, judged.episodes.proprio)):
        blocks = training_blocks(features, training, config.max_frames, proprio=reads == PROPRIO)
        probes[reads] = fit_probes(blocks, [quantity.name for quantity in listed], config.ridge)
        table = score_probes(
            probes[reads].read(held_out),
            judged.truth,
            constant=probes[reads].constant,
            episode=judged.episode,
            listed=listed,
            tolerances=tolerances,
            reads=reads,
            seed=seed,
        )
        tables.append(table)
    return probes[FEATURES], pd.concat(tables, ignore_index=True)


def score_probes(
    reading: NDArray[np.float64],
    truth: NDArray[np.float64],
    *,
    constant: NDArray[np.float64],
    episode: NDArray[np.int64],
    listed: Sequence[Quantity],
    tolerances: ToleranceConfig,
    reads: str,
    seed: int,
) -> pd.DataFrame:
    """Judge readings of held-out frames.

    Args:
        reading: What the probes say, ``(n, Q)``.
        truth: True values, ``(n, Q)``.
        constant: Best guess of somebody who sees nothing, ``(Q,)``: the training median, for a light the
            more frequent state.
        episode: Episode of each frame, ``(n,)``; intervals draw whole episodes.
        listed: The quantities.
        tolerances: Pass marks.
        reads: What the probes see, for the table.
        seed: Of the bootstrap.

    Returns:
        One row a quantity with columns ``COLUMNS``: ``score``, ``low`` and ``high`` are mean absolute error
        (cm) or accuracy, ``constant`` that of the guess, ``passes`` 1 or 0, NaN without a pass mark. To pass,
        a probe must also be surely better than the guess: some quantities vary by less than their tolerance.

    Raises:
        ValueError: Without frames.
    """
    if len(truth) == 0:
        raise ValueError("there are no held-out frames to judge probes on")
    light = np.array([quantity.is_light for quantity in listed])
    missed = misses(reading, truth, listed)
    guessed = misses(np.broadcast_to(constant, truth.shape), truth, listed).mean(axis=0)
    low, high = _interval(missed, episode, seed)
    table = pd.DataFrame(
        {
            "quantity": [quantity.name for quantity in listed],
            "title": [quantity.title for quantity in listed],
            "group": [quantity.group for quantity in listed],
            "reads": reads,
            "is_light": light,
            "score": _as_score(missed.mean(axis=0), light),
            "low": np.where(light, 1 - high, low),
            "high": np.where(light, 1 - low, high),
            "constant": _as_score(guessed, light),
            "tolerance": np.array([tolerances.of(quantity) for quantity in listed], np.float64),
        }
    )
    table["passes"] = passes(table)
    return table.assign(frames=len(truth), episodes=len(np.unique(episode)))[list(COLUMNS)]


def _as_score(missed: NDArray[np.float64], light: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(light, 1 - missed, missed)


def passes(table: pd.DataFrame) -> NDArray[np.float64]:
    """1 where a score is within its tolerance and its interval beyond the guess, 0 where not, NaN without."""
    light = table["is_light"]
    within = np.where(light, table["score"] >= table["tolerance"], table["score"] <= table["tolerance"])
    better = np.where(light, table["low"] > table["constant"], table["high"] < table["constant"])
    good = within & better
    return np.where(table["tolerance"].isna(), np.nan, good).astype(np.float64)


def _interval(
    missed: NDArray[np.float64], episode: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentiles of the mean over frames when whole episodes are drawn again."""
    _, index = np.unique(episode, return_inverse=True)
    count = np.bincount(index).astype(np.float64)
    total = np.zeros((len(count), missed.shape[1]))
    np.add.at(total, index, missed)
    picked = numpy_generator(seed, "probe_interval").integers(len(count), size=(DRAWS, len(count)))
    means = total[picked].sum(axis=1) / count[picked].sum(axis=1)[:, None]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def probe_metrics(table: pd.DataFrame) -> dict[str, Any]:
    """Scores of the features' probes by quantity, how many are judged, and how many pass."""
    mine = table[table["reads"] == FEATURES]
    scores = {
        f"{name}_{'accuracy' if is_light else 'error_cm'}": float(score)
        for name, is_light, score in zip(
            mine["quantity"].tolist(), mine["is_light"].tolist(), mine["score"].tolist(), strict=True
        )
    }
    judged = mine["passes"].dropna()
    return {**scores, "judged": len(judged), "passed": int(judged.sum())}
