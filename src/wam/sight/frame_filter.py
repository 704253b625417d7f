"""What a world model makes of the frames that n play tables show, one after another."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from wam.contracts import IMAGE_GRIPPER, IMAGE_STATIC, PROPRIO
from wam.episodes.proprio import proprio_from_robot_obs
from wam.episodes.resize import resize_images
from wam.sim.frames import SimFrames
from wam.world_model.featurize import start_state
from wam.world_model.model import WorldModel
from wam.world_model.state import RSSMState

PrevAction = Literal["executed", "policy"]
"""Which action the filter takes as the one that led to a frame: the one that was executed (clipped, gripper
-1 or +1, as in the recordings), or the policy's own numbers, as published (docs/published.md, fault B9)."""


def first_state(
    world_model: WorldModel, frames: SimFrames, *, start_repeats: int, generator: torch.Generator
) -> RSSMState:
    """The states in which episodes begin at n first frames; see :class:`FrameFilter`."""
    begun = FrameFilter(world_model, start_repeats=start_repeats)
    begun.start(frames, generator)
    return begun.state


class FrameFilter:
    """The posterior state of n tables, moved on by every real frame.

    Args:
        world_model: In evaluation mode.
        start_repeats: Times the first frame of an episode is filtered.
    """

    def __init__(self, world_model: WorldModel, *, start_repeats: int) -> None:
        self._world_model = world_model
        self._start_repeats = start_repeats
        self.state: RSSMState
        self.proprio: Float[Tensor, "n P"]
        """Raw proprioception of the newest frames observed; stale for tables that were not active."""

    @property
    def feat(self) -> Float[Tensor, "n F"]:
        """Features of the newest frames observed; stale for tables that were not active."""
        return self.state.feat

    @torch.no_grad()
    def start(self, frames: SimFrames, generator: torch.Generator) -> None:
        """Begin n episodes at their first frames, from the zero state.

        Args:
            frames: n first frames, rendered.
            generator: Of the latent samples.
        """
        batch = self.batch(frames, np.arange(len(frames)))
        self.state, self.proprio = self._first(batch, generator), batch[PROPRIO]

    @torch.no_grad()
    def restart(self, frames: SimFrames, rows: NDArray[np.int64], generator: torch.Generator) -> None:
        """Begin new episodes on the tables in ``rows`` ``(k,)``; the others keep their state.

        Args:
            frames: n frames, of which those are first ones.
            rows: Tables.
            generator: Of the latent samples.
        """
        batch = self.batch(frames, rows)
        self._put(rows, self._first(batch, generator), batch[PROPRIO])

    @torch.no_grad()
    def observe(
        self,
        frames: SimFrames,
        action: NDArray[np.float32],
        active: NDArray[np.bool_],
        generator: torch.Generator,
    ) -> None:
        """One posterior step where ``active``.

        Noise is drawn for all n tables: what one draws here does not depend on which others are active.

        Args:
            frames: n frames, rendered where active.
            action: ``(n, 7)``, the action that led to each frame.
            active: ``(n,)``.
            generator: Of the latent samples.
        """
        world_model, device = self._world_model, self._world_model.device
        noise = world_model.noise(len(active), generator=generator)
        which = np.flatnonzero(active)
        rows = torch.from_numpy(which).to(device)
        prev_action = torch.from_numpy(np.asarray(action[active], np.float32)).to(device)
        is_first = torch.zeros(len(rows), dtype=torch.bool, device=device)
        batch = self.batch(frames, which)
        embed = world_model.embed(batch)
        new, *_ = world_model.rssm.observe_step(
            embed, prev_action, is_first, self.state.rows(rows), noise[rows]
        )
        self._put(which, new, batch[PROPRIO])

    def batch(self, frames: SimFrames, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Frames of some tables as the encoder takes them.

        Raises:
            ValueError: If the frames were not rendered.
        """
        if frames.image_static is None or frames.image_gripper is None:
            raise ValueError("a world model needs rendered frames; reset and step the pool with render=True")
        proprio = proprio_from_robot_obs(frames.robot_obs[rows], self._world_model.rotation_convention)
        return {
            IMAGE_STATIC: self._images(frames.image_static[rows]),
            IMAGE_GRIPPER: self._images(frames.image_gripper[rows]),
            PROPRIO: torch.from_numpy(proprio).to(self._world_model.device),
        }

    def _first(self, batch: dict[str, Tensor], generator: torch.Generator) -> RSSMState:
        return start_state(
            self._world_model,
            batch[IMAGE_STATIC],
            batch[IMAGE_GRIPPER],
            batch[PROPRIO],
            repeats=self._start_repeats,
            generator=generator,
        )

    def _put(self, which: NDArray[np.int64], new: RSSMState, proprio: Tensor) -> None:
        rows = torch.from_numpy(which).to(self.state.deter.device)
        self.state = self.state.replaced(rows, new)
        self.proprio = self.proprio.index_copy(0, rows, proprio)

    def _images(self, images: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(resize_images(images)).to(self._world_model.device)
