"""Training of the readout of the scene on features of recorded play."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor, nn

from wam.contracts import LossOutput
from wam.nn.linear_init import fan_in_uniform_
from wam.reward.config import ReadoutConfig, ReadoutTrainingConfig
from wam.reward.readout import SceneReadout
from wam.tasks.table import DRAWER, IS_LIGHT, LED, LIGHT_ON, LIGHTBULB, QUANTITIES, SLIDER
from wam.training.loop import train
from wam.training.passes import ShuffledPasses, Stateless

MOST_STATISTICS: Final = 20_000
"""Frames that the mean and deviation of inputs are found from, evenly spread."""
NAMES: Final[Mapping[int, str]] = {SLIDER: "slider_m", DRAWER: "drawer_m", LIGHTBULB: "bulb", LED: "led"}
"""Names of figures by index in the scene state."""


class ReadoutObjective(Stateless):
    """Reads scenes off features; each batch is a function of seed and step.

    Args:
        readout: Trained module.
        feat: ``(N, F)`` features of recorded frames; stays where it is, batches go to the readout's device.
        scene: ``(N, Q)``, the readout's quantities of their scene states.
        rows: Those to train on.
        batch: Frames per gradient step.
        seed: Seed of the shuffles.
    """

    def __init__(
        self,
        readout: SceneReadout,
        feat: Tensor,
        scene: Tensor,
        rows: Int64[np.ndarray, " n"],
        *,
        batch: int,
        seed: int,
    ) -> None:
        self._readout, self._feat, self._scene = readout, feat, scene
        self._order = ShuffledPasses(rows, batch, seed, "readout order")

    def modules(self) -> nn.Module:
        """The readout."""
        return self._readout

    def loss(self, step: int) -> LossOutput:
        """Loss on the batch of gradient step ``step``."""
        rows = torch.from_numpy(self._order.rows(step))
        device = self._readout.standardizer.mean.device
        return self._readout.loss(self._feat[rows].to(device), self._scene[rows].to(device))


def train_readout(
    feat: Float32[np.ndarray, "N F"],
    scene_state: Float64[np.ndarray, "N S"],
    held_back: Bool[np.ndarray, " N"],
    config: ReadoutConfig,
    training: ReadoutTrainingConfig,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    stop_after: int | None = None,
) -> tuple[SceneReadout, dict[str, float]]:
    """Train a readout from seeded weights, and judge it by the frames held back.

    Args:
        feat: Features of recorded frames.
        scene_state: Their scene states.
        held_back: Frames that it must not learn from; whole episodes.
        config: Network.
        training: Length, batches, optimiser.
        seed: Seed of weights and batches.
        device: Where to train; the readout is returned on the CPU.
        stop_after: End after this many steps although more are planned.

    Returns:
        The readout, and its mean error of each opening (m) and share of each light read rightly on the frames
        held back.

    Raises:
        ValueError: If the rows differ in number, there is no frame to train on, or a feature is not finite.
    """
    if not len(feat) == len(scene_state) == len(held_back):
        raise ValueError(
            f"{len(feat)} features, {len(scene_state)} scene states and {len(held_back)} marks; "
            "give one of each per frame"
        )
    if not np.isfinite(feat).all():
        raise ValueError("features to read scenes off are not finite; train the world model anew")
    rows = np.flatnonzero(~held_back)
    if len(rows) == 0:
        raise ValueError("no frame is left to train a readout on; record more episodes of play")
    readout = SceneReadout(feat.shape[1], config)
    fan_in_uniform_(readout, seed)
    known, truth = torch.from_numpy(feat), torch.from_numpy(scene_state[:, QUANTITIES].astype(np.float32))
    readout.standardizer.fit(known[rows[:: math.ceil(len(rows) / MOST_STATISTICS)]])
    readout.to(device)
    train(
        ReadoutObjective(readout, known, truth, rows, batch=training.batch, seed=seed),
        steps=training.steps,
        optimizer=training.optimizer,
        stop_after=stop_after,
        description="scene readout",
    )
    readout.cpu()
    return readout, readout_quality(readout, known[held_back], truth[held_back])


@torch.no_grad()
def readout_quality(
    readout: SceneReadout, feat: Float32[Tensor, "n F"], scene: Float32[Tensor, "n Q"]
) -> dict[str, float]:
    """Mean error of openings (m) and share of lights read rightly; nothing without frames.

    Args:
        readout: Judged.
        feat: Features.
        scene: The readout's quantities of their scene states.
    """
    if len(feat) == 0:
        return {}
    read = readout.read(feat)
    figures = {}
    for place, (index, is_light) in enumerate(zip(QUANTITIES, IS_LIGHT, strict=True)):
        got, want = read[:, place], scene[:, place]
        if is_light:
            figures[NAMES[index]] = float(((got > LIGHT_ON) == (want > LIGHT_ON)).float().mean())
        else:
            figures[NAMES[index]] = float((got - want).abs().mean())
    return figures
