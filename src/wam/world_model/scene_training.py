"""How a carried scene is learned: from recorded play and its recorded scenes, before the first step.

What is drawn for a gradient step are neighbouring frames of an episode and an outset up to ``most_age``
frames before them. The motion learns in which frames joints move. Where a hand moves one, the hand says where
it is: so the motion starts from joints that are blurred, as a reading or an imagined one is, and has to find
to where they truly come::

    odds > 0                                      where joints[t+1] differ from joints[t]
    joints[t] + blur + step  =  joints[t+1]       there

Asked for the change of the true joint instead, it knows only on the mean whether a hand has hold, and moves
everything too little: contacts of policies slip. Asked to find joints that do not move as well, it takes the
pose of a hand that touches nothing for news of them, and they drift (docs/learning/imagination.md).

A button stops the hand that presses it, and in play a hand that is lower has missed it. Nothing stops an
imagined one. So in half of the draws a pressing hand is shown further than it came, on the way it came.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wam.contracts import LossOutput
from wam.episodes.loaded import Episodes
from wam.seeding import numpy_generator, torch_generator
from wam.tasks.table import LIGHT_ON, SCENE_UNITS
from wam.training.loop import train
from wam.training.passes import ShuffledPasses, Stateless
from wam.training.team import ALONE, Team
from wam.world_model.contact_places import FOLLOWED, PRESSED, contacts
from wam.world_model.model import WorldModel
from wam.world_model.scene import JOINTS, POSITION, SCENE_DIM, SWITCHING, SceneTrack, carried_scene
from wam.world_model.training_config import SceneTrainingConfig

JOINT_BLUR: Final = (0.005, 0.005, 0.003, 0.003)
"""Mean deviation (m) of the joints that the motion starts from: slider, drawer, button, switch."""
HAND_BLUR: Final = 0.002
"""Largest deviation of the hand's pose, of the range of each component: 1 to 2 mm."""
DOUBT: Final = 0.3
"""Share of the draws in which a light is shown with less than certainty,"""
LEAST_CERTAINTY: Final = 0.4
"""of which this much is left at least: on is 0.7 then."""
READING_GAIN: Final = 4.0
"""Errors of joints that are read count linearly from a quarter of their unit on,"""
CHANGE_GAIN: Final = 20.0
"""those of where they come to be from a twentieth on."""
OVERSHOT: Final = 0.5
"""Share of the draws in which a hand that moves button or switch is shown further than it came."""
APPROACH: Final = 4
"""Frames before, from which its way is told."""
LEAST_MOTION: Final = (0.001, 0.001, 0.0005, 0.0005)
"""Metres by which a joint moves in a frame in which it is said to."""
STEP_COEF: Final = 4.0
"""Weight of where moving joints come to, beside whether they move: of a hundred frames they move in three."""
FLIP_BLUR: Final = (0.005, 0.005, 0.0006, 0.001)
"""Deviation (m) of joints that lights are switched by: thresholds are sharp."""

LEAST_SWITCHING: Final = 0.1
"""Units by which they move in a frame that is drawn more often."""

SPARED: Final = 4
"""Of so many draws one is for flips, and one for painting: the painter is the largest network."""
LEAST_CHANGE: Final = (0.003, 0.003, 0.001, 0.001)
"""Of a joint (m) in a frame in which a hand is taken to move it."""
MOST_CONTACTS: Final = 20_000
"""Draws of frames and outsets that a place of contact is found from."""
DRAWS_EACH: Final = 16
"""Outsets that each such frame is drawn with at most: a button is pressed a few hundred times in an hour."""


@dataclass(frozen=True)
class SceneFrames:
    """What is known of N recorded frames.

    Attributes:
        colors: ``(N, M)`` colour moments.
        counts: ``(N, M)`` bool, where they count: a colour that is not there has no place.
        arm: ``(N, P)`` normalised proprioception.
        action: ``(N, A)`` that led from each frame to the next.
        scene: ``(N, Q)`` as ``carried_scene`` gives it.
        first: ``(N,)`` row of the first frame of each frame's episode.
    """

    colors: Float[Tensor, "N M"]
    counts: Bool[Tensor, "N M"]
    arm: Float[Tensor, "N P"]
    action: Float[Tensor, "N A"]
    scene: Float[Tensor, "N Q"]
    first: Int64[np.ndarray, " N"]


class SceneObjective(Stateless):
    """Errors of a scene's reader, motion, flips and painter; each batch is a function of seed and step.

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
                "set world_model.rssm.carries_scene, and what wants it, to false"
            )
        self._track, self._frames, self._page, self._seed = track, frames, page, seed
        self._order = ShuffledPasses(before, page.batch, seed, "scene order")
        self._joints = frames.scene[:, :JOINTS]
        self._measure_bounds()
        self._find_places(torch.from_numpy(before))
        self._switching = torch.from_numpy(before[self._may_switch(before)])

    def modules(self) -> SceneTrack:
        """All networks."""
        return self._track

    def loss(self, step: int) -> LossOutput:
        """Of the batch of gradient step ``step``: what is read of its frames, and what changes after them."""
        rows = self._order.rows(step)
        before = torch.from_numpy(rows)
        outset = self._outset(rows, numpy_generator(self._seed, "scene age", step))
        generator = torch_generator(self._seed, "scene blur", step)
        reading = self._reading_loss(before, outset)
        change = self._change_loss(before, outset, generator)
        few = slice(max(1, len(before) // SPARED))
        flips = self._flip_loss(before[few], generator)
        painting = self._painting_loss(before[few], outset[few])
        parts = {"reading": reading, "change": change, "flips": flips, "painting": painting}
        total = torch.stack(list(parts.values())).sum()
        return LossOutput(total, {name: part.detach() for name, part in parts.items()})

    def _outset(self, rows: Int64[np.ndarray, " n"], generator: np.random.Generator) -> Tensor:
        """Colour moments of frames of the same episodes, up to ``most_age`` before these."""
        age = generator.integers(self._page.most_age + 1, size=len(rows))
        return self._frames.colors[torch.from_numpy(np.maximum(self._frames.first[rows], rows - age))]

    def _measure_bounds(self) -> None:
        self._track.lowest.copy_(self._joints.amin(dim=0))
        self._track.highest.copy_(self._joints.amax(dim=0))

    def _may_switch(self, before: Int64[np.ndarray, " n"]) -> NDArray[np.bool_]:
        """After which frames a light flips, or what switches lights moves; after all, where none does."""
        change = (self._frames.scene[before + 1] - self._frames.scene[before]).abs().cpu().numpy()
        moves = np.any(change[:, SWITCHING] > LEAST_SWITCHING, axis=1)
        may = np.asarray(moves | np.any(change[:, JOINTS:] > LIGHT_ON, axis=1))
        return may if np.any(may) else ~may

    def _find_places(self, before: Tensor) -> None:
        """Where hands move joints; what is never moved keeps its place at the origin."""
        least = _in_units(LEAST_CHANGE, self._joints)
        for joint, moved in enumerate(contacts(self._joints, before.to(self._joints.device), least)):
            if len(moved) == 0:
                continue
            generator = numpy_generator(self._seed, "scene contacts", joint)
            draws = min(MOST_CONTACTS, DRAWS_EACH * len(moved))
            rows = generator.permutation(np.tile(moved.cpu().numpy(), DRAWS_EACH))[:draws]
            known = self._track.known(self._frames.scene[rows], self._outset(rows, generator))
            hand = self._frames.arm[:, POSITION]
            margins = PRESSED if joint in range(JOINTS)[SWITCHING] else FOLLOWED
            self._track.places.fit_(joint, known, hand[rows], hand[rows + 1], margins)

    def _reading_loss(self, rows: Tensor, outset: Tensor) -> Tensor:
        raw = self._track.read_raw(self._frames.colors[rows], outset, self._frames.arm[rows])
        scene = self._frames.scene[rows]
        joints = functional.smooth_l1_loss(READING_GAIN * raw[:, :JOINTS], READING_GAIN * scene[:, :JOINTS])
        return joints + functional.binary_cross_entropy_with_logits(raw[:, JOINTS:], scene[:, JOINTS:])

    def _painting_loss(self, rows: Tensor, outset: Tensor) -> Tensor:
        frames = self._frames
        painted = self._track.paint(frames.scene[rows], outset, frames.arm[rows])
        return (frames.counts[rows] * (painted - frames.colors[rows])).square().mean()

    def _change_loss(self, rows: Tensor, outset: Tensor, generator: torch.Generator) -> Tensor:
        frames, count = self._frames, len(rows)
        scene = self._blurred(frames.scene[rows], generator)
        blur = HAND_BLUR * _uniform(generator, scene, count, 1)
        hand = blur * _normal(generator, scene, count, frames.arm.shape[1])
        after = self._joints[rows + 1]
        moves = ((after - self._joints[rows]).abs() >= _in_units(LEAST_MOTION, scene)).to(scene.dtype)
        presses = moves[:, SWITCHING].amax(dim=1, keepdim=True)
        hand[:, POSITION] += presses * self._beyond(rows, generator)
        arms = frames.arm[rows] + hand, frames.arm[rows + 1] + hand
        odds, step = self._track.change_raw(scene, outset, *arms, frames.action[rows])
        gain = moves * CHANGE_GAIN
        found = functional.smooth_l1_loss(gain * (scene[:, :JOINTS] + step), gain * after)
        return functional.binary_cross_entropy_with_logits(odds, moves) + STEP_COEF * found

    def _beyond(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """How much further hands would have come that nothing had stopped, normalised, ``(n, 3)``."""
        earlier = torch.from_numpy(np.maximum(self._frames.first[rows.numpy()], rows.numpy() - APPROACH))
        hand, reach = self._frames.arm[:, POSITION], self._track.places.reach
        way = (hand[rows] - hand[earlier]) * reach
        far = self._page.overshoot * _uniform(generator, way, len(rows), 1)
        far = far * (_uniform(generator, way, len(rows), 1) < OVERSHOT)
        return far * functional.normalize(way, dim=-1) / reach

    def _blurred(self, scene: Tensor, generator: torch.Generator) -> Tensor:
        """Scenes as they are read or imagined: joints not exact, lights not certain."""
        count, lights = len(scene), SCENE_DIM - JOINTS
        blur = 2 * _uniform(generator, scene, count, 1) * _in_units(JOINT_BLUR, scene)
        joints = scene[:, :JOINTS] + blur * _normal(generator, scene, count, JOINTS)
        certainty = LEAST_CERTAINTY + (1 - LEAST_CERTAINTY) * _uniform(generator, scene, count, lights)
        doubted = _uniform(generator, scene, count, lights) < DOUBT
        certainty = torch.where(doubted, certainty, torch.ones_like(certainty))
        return torch.cat((joints, (scene[:, JOINTS:] - 0.5) * certainty + 0.5), dim=-1)

    def _flip_loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Half of frames in which button or switch move: else hardly a light were ever switched."""
        chosen = torch.randint(len(self._switching), (len(rows),), generator=generator)
        rows = torch.cat((rows, self._switching[chosen]))
        scene, after = self._frames.scene[rows], self._frames.scene[rows + 1]
        blur = _in_units(FLIP_BLUR, scene)
        before, joints = (
            x[:, :JOINTS] + blur * _normal(generator, scene, len(rows), JOINTS) for x in (scene, after)
        )
        raw = self._track.flip_raw(torch.cat((before, scene[:, JOINTS:]), dim=-1), joints)
        flips = (after - scene)[:, JOINTS:].abs().round()
        return functional.binary_cross_entropy_with_logits(raw, flips)


def _in_units(meters: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(meters) / like.new_tensor(SCENE_UNITS[:JOINTS])


def _uniform(generator: torch.Generator, like: Tensor, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator).to(like.device)


def _normal(generator: torch.Generator, like: Tensor, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator).to(like.device)


def fit_scene_(
    model: WorldModel,
    episodes: Episodes,
    colors: tuple[Float[Tensor, "N M"], Bool[Tensor, "N M"]],
    page: SceneTrainingConfig,
    *,
    seed: int,
    stop_after: int | None = None,
    team: Team = ALONE,
) -> None:
    """Find how scenes are read and how they change in the training frames; part of the checkpoint.

    Args:
        model: That carries the scene, on its device; nothing else of it changes.
        episodes: Recorded with their scenes.
        colors: Colour moments of all their frames, and where they count.
        page: Length and batches.
        seed: Of what is drawn; the initial weights are the model's own.
        stop_after: See ``loop.train``.
        team: Of which this process is one; each finds all of it, and the first one shows and publishes it.

    Raises:
        ValueError: If no frame follows another.
    """
    track = model.rssm.scene_track
    assert track is not None, "the model carries the scene"
    device, rows = model.device, np.arange(episodes.num_frames)
    bounds = model.proprio_normalizer
    track.places.reach.copy_((bounds.maximum - bounds.minimum)[POSITION])
    frames = SceneFrames(
        colors=colors[0].to(device),
        counts=colors[1].to(device),
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
            team=team,
        )
    finally:
        track.requires_grad_(requires_grad=False)
