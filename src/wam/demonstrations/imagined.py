"""Imagined demonstrations: the prior rolled with an expert's actions, labelled with the recorded labels.

PPO will judge imagined features, so the classifier must have seen some (docs/published.md, rewards)::

    feat[0] (filtered) --a[0]--> imagined[1] --a[1]--> imagined[2] ...     label of imagined[t] = label[t]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wam.contracts import ACTION_DIM, OPEN_GRIPPER_ACTION
from wam.parallel.progress import progress
from wam.seeding import torch_generator
from wam.world_model.model import WorldModel


@dataclass(frozen=True)
class ImaginedFrames:
    """Imagined features of many demonstrations.

    Attributes:
        feat: (M, F) float32.
        demonstration: (M,) int64, index of the demonstration.
        step: (M,) int64, from 1: the recorded frame that the feature imagines.
    """

    feat: NDArray[np.float32]
    demonstration: NDArray[np.int64]
    step: NDArray[np.int64]


@torch.no_grad()
def imagine_demonstrations(
    world_model: WorldModel,
    start_feat: NDArray[np.float32],
    actions: Sequence[NDArray[np.float32]],
    *,
    seed: int,
) -> ImaginedFrames:
    """Roll the prior from every demonstration's first feature with its own actions, all in one batch.

    Args:
        world_model: In evaluation mode.
        start_feat: (D, F) feature of the first frame of each demonstration.
        actions: D arrays (T_d, 7), actions taken at each frame; the last leads out of the demonstration and
            is not used.
        seed: Of the latent samples.

    Returns:
        T_d - 1 imagined frames per demonstration, ordered by demonstration, then step.

    Raises:
        ValueError: If the numbers of features and action sequences differ.
    """
    if len(start_feat) != len(actions):
        raise ValueError(
            f"{len(start_feat)} start features but {len(actions)} action sequences; give one of each"
        )
    device = next(world_model.parameters()).device
    lengths = np.array([len(sequence) for sequence in actions])
    longest = int(lengths.max(initial=1))
    padded = np.tile(np.asarray(OPEN_GRIPPER_ACTION, np.float32), (len(actions), longest, 1))
    for row, sequence in enumerate(actions):
        padded[row, : len(sequence)] = sequence.reshape(-1, ACTION_DIM)
    generator = torch_generator(seed, "imagine_demonstrations", device=device)
    state = world_model.state_from_feat(torch.from_numpy(start_feat).to(device))
    feats = np.empty((len(actions), longest - 1, start_feat.shape[1]), np.float32)
    with progress(longest - 1, f"imagine {len(actions)} demonstrations", "step") as bar:
        for t in range(longest - 1):
            state = world_model.imagine_step(state, torch.from_numpy(padded[:, t]).to(device), generator)
            feats[:, t] = state.feat.float().cpu().numpy()
            bar.update()
    demonstration, step = np.nonzero(np.arange(longest - 1)[None] < (lengths - 1)[:, None])
    return ImaginedFrames(
        feats[demonstration, step], demonstration.astype(np.int64), (step + 1).astype(np.int64)
    )
