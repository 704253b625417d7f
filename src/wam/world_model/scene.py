r"""The scene that the state carries: what tasks turn on, read off a frame and moved on by the hand.

A recurrent model that has seen an hour of play hardly knows that furniture is moved by hands: over 32
imagined frames of recorded presses the LED changed in 2 of 100, and where nothing happened drawer and door
drifted by centimetres (docs/learning/imagination.md). The scene itself is six numbers, four joints and two
lights, and play is recorded with it. So it may be carried beside h and z, as the arm is::

    frame seen:  scene[t]    = reader(colours[t], outset, arm[t])
    imagined:    joints[t+1] = joints[t] + step where motion says that they move, else joints[t];
                 odds, step  = motion(scene[t], arm[t], arm[t+1], action[t], nearness)
                 lights[t+1] = flipped(lights[t], f),   f = flips(scene[t], joints[t+1])
    painted:     colours[t]  = painter(outset, scene[t], arm[t])

The motion is shown how near the hand is to the places where joints are moved (``contact_places``), not where
things are: so it need not learn from misses, of which play has few, that a stroke beside a thing is in vain.
Hands move joints, and joints switch lights: a press is ten frames of a moving button and one of a flip, so
that the button is learned ten times as well. The painter says what colours a frame would have of which none
is seen: the prior may be told of them, so that z does not wander off from what is carried
(``rssm.prior_sees_carried``), and the decoder of colours may begin with them
(``decoder.corrects_painted_colors``). Nothing is drawn: a light flips when what a press has added up to is
more likely than not. The networks learn from recorded play before the world model's first step
(``scene_training``), and stand still from then on. Not part of the published models.
"""

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wam.contracts import ACTION_DIM, PROPRIO_DIM
from wam.nn.mlp import MLP
from wam.tasks.table import BUTTON, LIGHT_ON, LIGHTBULB, SCENE_UNITS, SWITCH
from wam.world_model.contact_places import ContactPlaces

SCENE_DIM: Final = len(SCENE_UNITS)
"""Q, numbers of a carried scene: the first of CALVIN's scene state, in ``tasks.table.SCENE_UNITS``."""
JOINTS: Final = LIGHTBULB
"""J, of them those that are joints, the first: slider, drawer, button, switch. Lights come after them."""
SWITCHING: Final = slice(BUTTON, SWITCH + 1)
"""Joints that switch lights."""
POSITION: Final = slice(0, 3)
"""Of proprioception: where the hand is."""
POSE: Final = slice(0, 10)
"""Of proprioception: position, rotation and opening of the hand. Joint angles are left out: in imagination
they drift, and say what the pose says."""
MOMENT_LIMIT: Final = 6.0
"""Deviations to which colour moments are cut: a speck in a corner must not count more than a table."""
POSE_GAIN: Final = 4.0
"""Makes poses around the middle of [0, 1] numbers around 1."""
STEP_GAIN: Final = 40.0
"""The same for their changes in one step."""
FLIP_HIDDEN: Final = (64,)
"""Widths of the network that knows when joints switch lights: a threshold each."""
FLIP_GAIN: Final = 3.0
"""Makes its inputs large: a threshold is sharp."""


class SceneTrack(nn.Module):
    """Reads the scene off frames, and moves it on without them.

    A scene is ``(..., Q)``: joints in their units, probabilities that lights are on.

    Args:
        hidden: Widths of the hidden layers of reader and motion.
        painter_hidden: Widths of those of the painter.
        moments: M, colour moments of both cameras.

    Attributes:
        moments: The same.
        lowest: ``(J,)``, lowest value of each joint that was recorded; nothing is imagined beyond it.
        highest: ``(J,)``, highest.
    """

    lowest: Tensor
    highest: Tensor

    def __init__(self, hidden: Sequence[int], painter_hidden: Sequence[int], moments: int) -> None:
        super().__init__()
        pose = POSE.stop - POSE.start
        shown = SCENE_DIM + 2 * pose + ACTION_DIM + 2 * ContactPlaces.nearness_dim(JOINTS)
        self.moments = moments
        self.places = ContactPlaces(JOINTS, moments + SCENE_DIM)
        self.reader = MLP(2 * moments + PROPRIO_DIM, hidden, SCENE_DIM)
        self.motion = MLP(shown, hidden, 2 * JOINTS)
        self.flips = MLP(SCENE_DIM + JOINTS, FLIP_HIDDEN, SCENE_DIM - JOINTS)
        self.painter = MLP(moments + SCENE_DIM + pose, painter_hidden, moments)
        self.register_buffer("lowest", torch.zeros(JOINTS))
        self.register_buffer("highest", torch.ones(JOINTS))

    def reset_(self) -> None:
        """What is measured, not trained, as it is before any episode was seen."""
        self.places.reset_()
        self.lowest.zero_()
        self.highest.fill_(1)

    def read_raw(
        self, colors: Float[Tensor, "*B M"], outset: Float[Tensor, "*B M"], arm: Float[Tensor, "*B P"]
    ) -> Float[Tensor, "*B Q"]:
        """Joints in their units, log odds of lights, with gradient; see :meth:`read`."""
        raw: Tensor = self.reader(torch.cat((_cut(colors), _cut(outset), (arm - 0.5) * POSE_GAIN), dim=-1))
        return raw

    def change_raw(
        self,
        scene: Float[Tensor, "*B Q"],
        outset: Float[Tensor, "*B M"],
        arm: Float[Tensor, "*B P"],
        moved: Float[Tensor, "*B P"],
        action: Float[Tensor, "*B A"],
    ) -> tuple[Float[Tensor, "*B J"], Float[Tensor, "*B J"]]:
        """Log odds that joints move, and by how much if so, with gradient; see :meth:`move`."""
        pose, step = arm[..., POSE], moved[..., POSE] - arm[..., POSE]
        places = self.places(self.known(scene, outset))
        shown = (
            scene * 2 - 1,
            (pose - 0.5) * POSE_GAIN,
            step * STEP_GAIN,
            action,
            self.places.nearness(arm[..., POSITION], places),
            self.places.nearness(moved[..., POSITION], places),
        )
        raw: Tensor = self.motion(torch.cat(shown, dim=-1))
        return raw[..., :JOINTS], raw[..., JOINTS:]

    def flip_raw(self, scene: Float[Tensor, "*B Q"], joints: Float[Tensor, "*B J"]) -> Float[Tensor, "*B L"]:
        """Log odds that lights flip when joints come to be ``joints``, with gradient; see :meth:`move`."""
        raw: Tensor = self.flips((torch.cat((scene, joints), dim=-1) * 2 - 1) * FLIP_GAIN)
        return raw

    @torch.no_grad()
    def read(
        self, colors: Float[Tensor, "*B M"], outset: Float[Tensor, "*B M"], arm: Float[Tensor, "*B P"]
    ) -> Float[Tensor, "*B Q"]:
        """The scene of a frame.

        Args:
            colors: Its colour moments.
            outset: Those of the first frame since the state was dropped.
            arm: Its normalised proprioception.
        """
        raw = self.read_raw(colors, outset, arm)
        return torch.cat((raw[..., :JOINTS], raw[..., JOINTS:].sigmoid()), dim=-1)

    @torch.no_grad()
    def move(
        self,
        scene: Float[Tensor, "*B Q"],
        outset: Float[Tensor, "*B M"],
        arm: Float[Tensor, "*B P"],
        moved: Float[Tensor, "*B P"],
        action: Float[Tensor, "*B A"],
    ) -> Float[Tensor, "*B Q"]:
        """The scene after ``action``, of which no frame is seen.

        Args:
            scene: Before it.
            outset: Colour moments of the first frame since the state was dropped.
            arm: Normalised proprioception before the action.
            moved: The same after it.
            action: That is executed.
        """
        odds, step = self.change_raw(scene, outset, arm, moved, action)
        at_hand = self.places.within(arm[..., POSITION], self.places(self.known(scene, outset)))
        joints = scene[..., :JOINTS] + step * (at_hand & (odds > 0))
        joints = torch.clamp(joints, self.lowest, self.highest)
        switched = (joints != scene[..., :JOINTS])[..., SWITCHING].any(dim=-1, keepdim=True)
        flips = self.flip_raw(scene, joints).sigmoid()
        return torch.cat((joints, flipped(scene[..., JOINTS:], flips, switched)), dim=-1)

    def paint(
        self, scene: Float[Tensor, "*B Q"], outset: Float[Tensor, "*B M"], arm: Float[Tensor, "*B P"]
    ) -> Float[Tensor, "*B M"]:
        """Colour moments of a frame in which scene and arm are these, with gradient.

        Args:
            scene: As it is.
            outset: Colour moments of the first frame since the state was dropped.
            arm: Normalised proprioception.
        """
        shown = self.known(scene, outset), (arm[..., POSE] - 0.5) * POSE_GAIN
        painted: Tensor = self.painter(torch.cat(shown, dim=-1))
        return painted

    @torch.no_grad()
    def told(
        self, scene: Float[Tensor, "*B Q"], outset: Float[Tensor, "*B M"], arm: Float[Tensor, "*B P"]
    ) -> Float[Tensor, "*B V"]:
        """What can be told of a frame of which scene and arm are known: its colours, and these themselves.

        Takes what :meth:`paint` takes; gives V = ``told_dim`` numbers around 1, without gradient, painted in
        the precision of the weights under autocast as well.
        """
        with torch.autocast(scene.device.type, enabled=False):
            return torch.cat((self.paint(scene, outset, arm), scene * 2 - 1, arm * 2 - 1), dim=-1)

    @property
    def told_dim(self) -> int:
        """V, numbers of :meth:`told`."""
        return self.moments + SCENE_DIM + PROPRIO_DIM

    def known(self, scene: Float[Tensor, "*B Q"], outset: Float[Tensor, "*B M"]) -> Float[Tensor, "*B I"]:
        """What places are told from: the first frame, and where joints are by now."""
        return torch.cat((_cut(outset), scene * 2 - 1), dim=-1)


def flipped(
    lights: Float[Tensor, "*B L"], flips: Float[Tensor, "*B L"], switched: Bool[Tensor, "*B 1"]
) -> Float[Tensor, "*B L"]:
    """Lights after a frame in which each flips with some probability.

    A switch crosses its threshold once, in one of the frames of a press: their probabilities add up. As those
    of events of their own they would lead to a half, and a light that nobody is sure of would never be on.

    Args:
        lights: In [0, 1]; above 0.5 a light is on, and the rest of the way is what a press has added up to.
        flips: Probability that the threshold is crossed in this frame.
        switched: Whether anything that switches lights moves; where it rests the press is over.

    Returns:
        In [0, 1]: just flipped where it has become likelier than not, 0 or 1 where nothing moves.
    """
    was = (lights > LIGHT_ON).to(lights.dtype)
    after = lights + flips * (1 - 2 * was)
    crossed = (after > LIGHT_ON) != (was > LIGHT_ON)
    return torch.where(switched, torch.where(crossed, 1 - was, after), was)


def carried_scene(state: Float[Tensor, "*B S"]) -> Float[Tensor, "*B Q"]:
    """Joints (m) and lights of recorded scene states, as a carried scene has them."""
    return state[..., :SCENE_DIM] / state.new_tensor(SCENE_UNITS)


def _cut(moments: Tensor) -> Tensor:
    return moments.clamp(-MOMENT_LIMIT, MOMENT_LIMIT)
