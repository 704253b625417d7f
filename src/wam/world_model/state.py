"""The state that the world model carries from frame to frame."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Carried(NamedTuple):
    """What a state carries besides h and z; see ``RSSMState``."""

    arm: Tensor | None = None
    outset: Tensor | None = None
    scene: Tensor | None = None


class RSSMState(NamedTuple):
    """What the model believes after a frame.

    Attributes:
        deter: GRU state h, ``(B, D)``.
        stoch: One-hot sample z, ``(B, stoch_dim, stoch_classes)``.
        arm: Normalised proprioception, ``(B, P)``, in models that carry it (``rssm.carries_arm``).
        outset: Colour moments of the first frame since the state was dropped, ``(B, O)``, in models that
            carry them (``rssm.carries_outset``); 0 before that frame.
        scene: Openings and lights, ``(B, Q)``, in models that carry them (``rssm.carries_scene``).
    """

    deter: Tensor
    stoch: Tensor
    arm: Tensor | None = None
    outset: Tensor | None = None
    scene: Tensor | None = None

    @property
    def feat(self) -> Tensor:
        """``[h ; z]``, then outset, scene and arm where they are carried, ``(B, F)``: what is shown."""
        shown = [x for x in (self.outset, self.scene, self.arm) if x is not None]
        return torch.cat([self.deter, self.stoch.flatten(start_dim=-2), *shown], dim=-1)

    @property
    def carried(self) -> Carried:
        """What is carried besides h and z."""
        return Carried(self.arm, self.outset, self.scene)

    def detach(self) -> "RSSMState":
        """The same values without gradient."""
        return self.map(Tensor.detach)

    def masked(self, keep: Tensor) -> "RSSMState":
        """Zero the rows where ``keep``, ``(B,)``, is 0; elsewhere unchanged."""
        keep = keep.to(self.deter.dtype)
        return self.map(lambda x: x * _wide(keep, x))

    def rows(self, index: Tensor | slice) -> "RSSMState":
        """The states of some rows of the batch."""
        return self.map(lambda x: x[index])

    def replaced(self, rows: Tensor, new: "RSSMState") -> "RSSMState":
        """With other states in ``rows`` ``(k,)``."""
        return self.zipped(new, lambda old, x: old.index_copy(0, rows, x))

    def where(self, chosen: Tensor, other: "RSSMState") -> "RSSMState":
        """This state in rows where ``chosen``, ``(B,)`` bool, and the other elsewhere."""
        return self.zipped(other, lambda x, y: torch.where(_wide(chosen, x), x, y))

    def map(self, change: Callable[[Tensor], Tensor]) -> "RSSMState":
        """The same change of every part."""
        return RSSMState(**{name: change(value) for name, value in self.tensors.items()})

    def zipped(self, other: "RSSMState", join: Callable[[Tensor, Tensor], Tensor]) -> "RSSMState":
        """Each part joined with the other's.

        Raises:
            ValueError: If one carries what the other does not.
        """
        mine, theirs = self.tensors, other.tensors
        if mine.keys() != theirs.keys():
            raise ValueError(
                f"a state of {', '.join(mine)} does not go with one of {', '.join(theirs)}; "
                "take both from one world model"
            )
        return RSSMState(**{name: join(value, theirs[name]) for name, value in mine.items()})

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The parts that there are, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def joined(states: Sequence[RSSMState]) -> RSSMState:
    """States of several batches as one batch."""
    whole, *others = states
    for other in others:
        whole = whole.zipped(other, lambda x, y: torch.cat((x, y)))
    return whole


def present(carried: Tensor | None, name: str) -> Tensor:
    """What a state carries, which must be there.

    Raises:
        ValueError: If it is not.
    """
    if carried is None:
        raise ValueError(
            f"the world model carries the {name} (rssm.carries_{name}) and the state has none; take the "
            "state from initial_state, state_from_feat or a step of the same world model"
        )
    return carried


def all_of(carried: Carried) -> tuple[Tensor, Tensor, Tensor]:
    """Arm, outset and scene of a state that carries all three; see :func:`present`."""
    arm, outset, scene = (present(value, name) for name, value in carried._asdict().items())
    return arm, outset, scene


def begun(own: Tensor, before: Tensor | None) -> Tensor:
    """The outset after a frame with colours ``own``: that before it, or its own where there is none yet.

    None yet is all zeros, which is what dropping a state leaves; no frame of a table is all average.
    """
    before = present(before, "outset")
    return torch.where((before == 0).all(dim=-1, keepdim=True), own, before)


def begun_each(own: Tensor, keep: Tensor, before: Tensor | None) -> Tensor:
    """The outset after each frame, ``(B, T, O)``.

    Args:
        own: Colours of the frames, ``(B, T, O)``.
        keep: 0 where the state is dropped before the frame, else 1, ``(B, T)``.
        before: The outset before the first frame, ``(B, O)``.
    """
    found = [present(before, "outset")]
    # cut up once: a cut for each frame would have a gradient as large as all of them each
    for colors, kept in zip(own.unbind(1), keep.unbind(1), strict=True):
        found.append(begun(colors, found[-1] * kept[:, None]))
    return torch.stack(found[1:], dim=1)


def before_each(first: Tensor | None, each: Tensor | None, keep: Tensor, name: str) -> Tensor | None:
    """What was carried before each frame ``(B, T, ...)``.

    Args:
        first: Before the first frame, ``(B, ...)``.
        each: After each, ``(B, T, ...)``; None where it is not carried.
        keep: 0 where the state is dropped before the frame, else 1, ``(B, T)``.
        name: Of what is carried.
    """
    if each is None:
        return None
    return torch.cat([present(first, name)[:, None], each[:, :-1]], dim=1) * keep[..., None]


def _wide(rows: Tensor, like: Tensor) -> Tensor:
    return rows.reshape(-1, *[1] * (like.dim() - 1))
