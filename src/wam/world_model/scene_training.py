"""How a carried scene is learned: from recorded play and its recorded scenes, before the first step.

What is drawn for a gradient step are neighbouring frames of an episode and an outset up to ``most_age``
frames before them. The scene before is blurred, as a reading or an imagined one is; the hand is displaced by
a millimetre or so, so that what touches does not hang on less.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from wam.contracts import LossOutput
from wam.episodes.loaded import Episodes
from wam.seeding import numpy_generator, torch_generator
from wam.training.loop import train
from wam.training.passes import ShuffledPasses, Stateless
from wam.world_model.config import SceneTrainingConfig
from wam.world_model.contact_places import contacts
from wam.world_model.model import WorldModel
from wam.world_model.scene import JOINTS, POSITION, SCENE_DIM, SceneTrack, carried_scene

OPENING_BLUR: Final = 0.07
"""Deviation of the openings that the motion starts from, in units of ``tasks.table.OPENING_UNIT``: 7 mm."""
HAND_BLUR: Final = 0.002
"""Largest deviation of the hand's pose, of the range of each component: 1 to 2 mm."""
DOUBT: Final = 0.3
"""Share of the draws in which a light is shown with less than certainty,"""
LEAST_CERTAINTY: Final = 0.4
"""of which this much is left at least: on is 0.7 then."""
READING_GAIN: Final = 4.0
"""Errors of openings that are read count linearly from 2.5 cm on,"""
CHANGE_GAIN: Final = 20.0
"""those of their change in one frame from 5 mm on,"""
FLIP_COEF: Final = 5.0
"""and flips weigh this much: they are as many as one frame in four hundred."""

LEAST_CHANGE: Final = 0.03
"""Of a quantity in a frame in which a hand is taken to move it: 3 mm, and all flips of lights."""
MOST_CONTACTS: Final = 20_000
"""Draws of frames and outsets that a place of contact is found from."""
DRAWS_EACH: Final = 16
"""Outsets that each such frame is drawn with at most: lights are switched a hundred times in an hour."""


@dataclass(frozen=True)
class SceneFrames:
    """What is known of N recorded frames.

    Attributes:
        colors: ``(N, M)`` colour moments.
        arm: ``(N, P)`` normalised proprioception.
        action: ``(N, A)`` that led from each frame to the next.
        scene: ``(N, Q)`` as ``carried_scene`` gives it.
        first: ``(N,)`` row of the first frame of each frame's episode.
    """

    colors: Float[Tensor, "N M"]
    arm: Float[Tensor, "N P"]
    action: Float[Tensor, "N A"]
    scene: Float[Tensor, "N Q"]
    first: Int64[np.ndarray, " N"]


class SceneObjective(Stateless):
    """Errors of a scene's reader and of its motion; each batch is a function of seed and step.

    Args:
        track: What is trained, on the device of the tensors.
        frames: Recorded play.
        page: Batch and oldest outset.
        seed: Of order, ages and blur.

    Raises:
        ValueError: If no frame follows another.
    """

    def __init__(
        self, track: SceneTrack, frames: SceneFrames, page: SceneTrainingConfig, *, seed: int
    ) -> None:
        before = np.flatnonzero(frames.first[1:] == frames.first[:-1])
        if len(before) == 0:
            raise ValueError(
                "no frame follows another: how scenes change cannot be learned; record longer episodes, or "
                "set world_model.rssm.carries_scene to false"
            )
        self._track, self._frames, self._page, self._seed = track, frames, page, seed
        self._order = ShuffledPasses(before, page.batch, seed, "scene order")
        self._find_places(torch.from_numpy(before))

    def modules(self) -> SceneTrack:
        """Both networks."""
        return self._track

    def loss(self, step: int) -> LossOutput:
        """Of the batch of gradient step ``step``: what is read of its frames, and what changes after them."""
        rows = self._order.rows(step)
        before = torch.from_numpy(rows)
        outset = self._outset(rows, numpy_generator(self._seed, "scene age", step))
        reading = self._reading_loss(before, outset)
        change = self._change_loss(before, outset, torch_generator(self._seed, "scene blur", step))
        return LossOutput(reading + change, {"reading": reading.detach(), "change": change.detach()})

    def _outset(self, rows: Int64[np.ndarray, " n"], generator: np.random.Generator) -> Tensor:
        """Colour moments of frames of the same episodes, up to ``most_age`` before these."""
        age = generator.integers(self._page.most_age + 1, size=len(rows))
        return self._frames.colors[torch.from_numpy(np.maximum(self._frames.first[rows], rows - age))]

    def _find_places(self, before: Tensor) -> None:
        """Where hands move things; a thing that is never moved keeps its place at the origin."""
        for place, moved in enumerate(
            contacts(self._frames.scene, before.to(self._frames.scene.device), LEAST_CHANGE)
        ):
            if len(moved) == 0:
                continue
            generator = numpy_generator(self._seed, "scene contacts", place)
            draws = min(MOST_CONTACTS, DRAWS_EACH * len(moved))
            rows = generator.permutation(np.tile(moved.cpu().numpy(), DRAWS_EACH))[:draws]
            known = self._track.known(self._frames.scene[rows], self._outset(rows, generator))
            self._track.places.fit_(place, known, self._frames.arm[rows][:, POSITION])

    def _reading_loss(self, rows: Tensor, outset: Tensor) -> Tensor:
        raw = self._track.read_raw(self._frames.colors[rows], outset, self._frames.arm[rows])
        return _joint_error(raw, self._frames.scene[rows], READING_GAIN) + _light_error(
            raw, self._frames.scene[rows]
        )

    def _change_loss(self, rows: Tensor, outset: Tensor, generator: torch.Generator) -> Tensor:
        scene, after = self._frames.scene[rows], self._frames.scene[rows + 1]
        device = scene.device

        def draw(*shape: int, normal: bool = False) -> Tensor:
            drawn = (torch.randn if normal else torch.rand)(shape, generator=generator)
            return drawn.to(device)

        count = len(rows)
        hand = HAND_BLUR * draw(count, 1) * draw(count, self._frames.arm.shape[1], normal=True)
        blurred = scene.clone()
        blurred[:, :JOINTS] += OPENING_BLUR * draw(count, JOINTS, normal=True)
        certainty = LEAST_CERTAINTY + (1 - LEAST_CERTAINTY) * draw(count, SCENE_DIM - JOINTS)
        certainty = torch.where(
            draw(count, SCENE_DIM - JOINTS) < DOUBT, certainty, torch.ones_like(certainty)
        )
        blurred[:, JOINTS:] = (scene[:, JOINTS:] - 0.5) * certainty + 0.5
        raw = self._track.change_raw(
            blurred,
            outset,
            self._frames.arm[rows] + hand,
            self._frames.arm[rows + 1] + hand,
            self._frames.action[rows],
        )
        change = after - scene
        flips = torch.cat((change[:, :JOINTS], change[:, JOINTS:].abs().round()), dim=-1)
        return _joint_error(raw, flips, CHANGE_GAIN) + FLIP_COEF * _light_error(raw, flips)


def _joint_error(raw: Tensor, target: Tensor, gain: float) -> Tensor:
    return functional.smooth_l1_loss(gain * raw[:, :JOINTS], gain * target[:, :JOINTS])


def _light_error(raw: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(raw[:, JOINTS:], target[:, JOINTS:])


def fit_scene_(
    model: WorldModel,
    episodes: Episodes,
    colors: Float[Tensor, "N M"],
    page: SceneTrainingConfig,
    *,
    seed: int,
    stop_after: int | None = None,
) -> None:
    """Find how scenes are read and how they change in the training frames; part of the checkpoint.

    Args:
        model: That carries the scene, on its device; nothing else of it changes.
        episodes: Recorded with their scenes.
        colors: Colour moments of all their frames.
        page: Length and batches.
        seed: Of what is drawn; the initial weights are the model's own.
        stop_after: See ``loop.train``.

    Raises:
        ValueError: If no frame follows another.
    """
    track = model.rssm.scene_track
    assert track is not None, "the model carries the scene"
    device, rows = model.device, np.arange(episodes.num_frames)
    bounds = model.proprio_normalizer
    track.places.reach.copy_((bounds.maximum - bounds.minimum)[POSITION])
    frames = SceneFrames(
        colors=colors.to(device),
        arm=model.proprio_normalizer(torch.from_numpy(episodes.proprio).to(device)),
        action=torch.from_numpy(episodes.action).to(device),
        scene=carried_scene(torch.from_numpy(episodes.scene_state).float().to(device)),
        first=episodes.episode_start[episodes.episode_of(rows)],
    )
    objective = SceneObjective(track, frames, page, seed=seed)
    track.requires_grad_(requires_grad=True)
    try:
        train(
            objective,
            steps=page.steps,
            optimizer=page.optimizer,
            stop_after=stop_after,
            description="scene",
            prefix="scene_",
        )
    finally:
        track.requires_grad_(requires_grad=False)
