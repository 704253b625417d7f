"""By how much imagination loses sight: probes read step by step while only true actions are given.

Three lines from the same moments of held-out episodes::

    seen        posterior of every frame: what a policy in the simulator has
    filtered    the prior from the posterior of the whole past
    one_frame   the prior from one frame, seen several times: where PPO's episodes begin
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from wam.demonstrations.imagined import imagine_demonstrations
from wam.diagnostics.frames import JudgedFrames
from wam.diagnostics.probes import misses
from wam.diagnostics.quantities import Quantity
from wam.diagnostics.ridge import LinearProbes
from wam.evaluation.open_loop import choose_sequences
from wam.seeding import torch_generator
from wam.world_model.featurize import start_state
from wam.world_model.model import WorldModel

SEEN, FILTERED, ONE_FRAME = "seen", "filtered", "one_frame"
STARTS: Final = (SEEN, FILTERED, ONE_FRAME)


def measure_drift(
    model: WorldModel,
    probes: LinearProbes,
    judged: JudgedFrames,
    listed: Sequence[Quantity],
    *,
    sequences: int,
    steps: int,
    start_repeats: int,
    seed: int,
) -> pd.DataFrame:
    """Read the probes along imagined stretches of held-out episodes.

    Args:
        model: In evaluation mode.
        probes: Fitted to posterior features.
        judged: Held-out frames and their features.
        listed: The quantities.
        sequences: Stretches, fewer where there are not so many.
        steps: Frames imagined of each; fewer where no episode is that long.
        start_repeats: Times that ``one_frame`` sees its frame.
        seed: Of the choice and of the sampled states.

    Returns:
        Columns start, quantity, is_light, step (0: where imagination starts), score: mean absolute error (cm)
        or accuracy over the stretches.
    """
    steps = min(steps, int(judged.episodes.episode_length.max()) - 1)
    room = np.maximum(0, judged.episodes.episode_length - steps).sum()
    rows = choose_sequences(judged.episodes, min(sequences, int(room)), steps + 1, seed)
    first = {
        FILTERED: judged.feat[rows[:, 0]],
        ONE_FRAME: _from_one(model, judged, rows, start_repeats, seed),
    }
    feats = {SEEN: judged.feat[rows]}
    for name, start in first.items():
        feats[name] = _imagine(model, start, judged.episodes.action[rows], seed)
    tables = []
    for name in STARTS:
        missed = misses(probes.read(feats[name]), judged.truth[rows], listed).mean(axis=0)
        for place, quantity in enumerate(listed):
            score = 1 - missed[:, place] if quantity.is_light else missed[:, place]
            columns = {"start": name, "quantity": quantity.name, "is_light": quantity.is_light}
            tables.append(pd.DataFrame({**columns, "step": np.arange(steps + 1), "score": score}))
    return pd.concat(tables, ignore_index=True)


def _from_one(
    model: WorldModel, judged: JudgedFrames, rows: NDArray[np.int64], repeats: int, seed: int
) -> NDArray[np.float32]:
    episodes, first = judged.episodes, rows[:, 0]
    frame = (episodes.image_static[first], episodes.image_gripper[first], episodes.proprio[first])
    state = start_state(
        model,
        *(torch.from_numpy(part).to(model.device) for part in frame),
        repeats=repeats,
        generator=torch_generator(seed, "drift", device=model.device),
    )
    return np.asarray(state.feat.float().cpu().numpy(), np.float32)


def _imagine(
    model: WorldModel, start: NDArray[np.float32], actions: NDArray[np.float32], seed: int
) -> NDArray[np.float32]:
    """Features ``(n, steps + 1, F)``, the start first."""
    imagined = imagine_demonstrations(model, start, list(actions), seed=seed).feat
    return np.concatenate([start[:, None], imagined.reshape(len(start), -1, start.shape[1])], axis=1)
