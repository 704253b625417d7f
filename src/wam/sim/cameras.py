"""CALVIN's two cameras, drawn by PyBullet."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pybullet
from numpy.typing import NDArray

from wam.sim import constants as c
from wam.sim.assets.manner import Look
from wam.sim.client import Client

Image = NDArray[np.uint8]


class Film:
    """Takes pictures of one client and size, first as rows of pixels, of which layers can be made."""

    def __init__(self, client: Client, size: int, look: Look) -> None:
        self._size = size
        self._take: Callable[..., Any] = functools.partial(
            client.getCameraImage,
            size,
            size,
            renderer=client.renderer,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
            **look.light,
        )
        grey = look.background
        self._background = (
            None if grey is None else np.array([grey, grey, grey, 255], np.uint8).view(np.uint32)
        )

    def expose(
        self, view: Sequence[float], projection: Sequence[float]
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """One drawing: RGBA as four bytes and window depth (1: nothing), each (size^2,).

        Pixels that no body covers have the look's background.
        """
        _, _, colors, depths, _ = self._take(viewMatrix=view, projectionMatrix=projection)
        pixels = np.asarray(colors, np.uint8).reshape(-1).view(np.uint32)
        depth = np.asarray(depths, np.float32).reshape(-1)
        if self._background is not None:
            np.putmask(pixels, depth >= 1.0, self._background)
        return pixels, depth

    def develop(self, pixels: NDArray[np.uint32]) -> Image:
        """The image (size, size, 3) uint8 RGB of a row of pixels."""
        return pixels.view(np.uint8).reshape(self._size, self._size, 4)[:, :, :3].copy()


class StaticCamera:
    """The camera beside the table; images (size, size, 3) uint8 RGB.

    Args:
        client: Whose world it sees.
        size: Height and width in pixels.
        look: Light and background.
        near: Distance (m) of the near plane; the published one by default.
    """

    def __init__(self, client: Client, size: int, look: Look, near: float = c.STATIC_NEAR_FAR[0]) -> None:
        self._film = Film(client, size, look)
        self._view = pybullet.computeViewMatrix(c.STATIC_EYE, c.STATIC_TARGET, c.STATIC_UP)
        self._projection = pybullet.computeProjectionMatrixFOV(c.STATIC_FOV, 1.0, near, c.STATIC_NEAR_FAR[1])

    def draw(self) -> Image:
        """The present view."""
        return self.develop(self.expose()[0])

    def expose(self) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Pixels and depth of the present view; see `Film.expose`."""
        return self._film.expose(self._view, self._projection)

    def develop(self, pixels: NDArray[np.uint32]) -> Image:
        """The image of a row of pixels."""
        return self._film.develop(pixels)


class GripperCamera:
    """The camera on the wrist: looks along +y of its link, with -z of the link up."""

    def __init__(self, client: Client, size: int, look: Look) -> None:
        self._client = client
        self._film = Film(client, size, look)
        self._projection = pybullet.computeProjectionMatrixFOV(c.GRIPPER_FOV, 1.0, *c.GRIPPER_NEAR_FAR)

    def draw(self, body: int, link: int) -> Image:
        """The present view from link `link` of body `body`."""
        position, orientation = self._client.getLinkState(body, link)[:2]
        rotation = np.array(pybullet.getMatrixFromQuaternion(orientation)).reshape(3, 3)
        eye = np.array(position)
        view = pybullet.computeViewMatrix(
            eye.tolist(), (eye + rotation[:, 1]).tolist(), (-rotation[:, 2]).tolist()
        )
        return self._film.develop(self._film.expose(view, self._projection)[0])
