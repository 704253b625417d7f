"""CALVIN's two cameras, drawn by PyBullet's software renderer."""

import numpy as np
import pybullet
from numpy.typing import NDArray

from wam.sim import constants as c
from wam.sim.assets.manner import Look
from wam.sim.client import Client

Image = NDArray[np.uint8]


def _draw(client: Client, look: Look, size: int, view: list[float], projection: list[float]) -> Image:
    _, _, pixels, depth, _ = client.getCameraImage(
        size,
        size,
        viewMatrix=view,
        projectionMatrix=projection,
        renderer=pybullet.ER_TINY_RENDERER,
        flags=pybullet.ER_NO_SEGMENTATION_MASK,
        **look.light,
    )
    image = np.ascontiguousarray(np.asarray(pixels, dtype=np.uint8).reshape(size, size, 4)[:, :, :3])
    if look.background is not None:
        image[np.asarray(depth).reshape(size, size) >= 1.0] = look.background
    return image


class StaticCamera:
    """The camera beside the table; images (size, size, 3) uint8 RGB."""

    def __init__(self, client: Client, size: int, look: Look) -> None:
        self._client = client
        self._size = size
        self._look = look
        self._view = list(pybullet.computeViewMatrix(c.STATIC_EYE, c.STATIC_TARGET, c.STATIC_UP))
        self._projection = list(pybullet.computeProjectionMatrixFOV(c.STATIC_FOV, 1.0, *c.STATIC_NEAR_FAR))

    def draw(self) -> Image:
        """The present view."""
        return _draw(self._client, self._look, self._size, self._view, self._projection)


class GripperCamera:
    """The camera on the wrist: looks along +y of its link, with -z of the link up."""

    def __init__(self, client: Client, size: int, look: Look) -> None:
        self._client = client
        self._size = size
        self._look = look
        self._projection = list(pybullet.computeProjectionMatrixFOV(c.GRIPPER_FOV, 1.0, *c.GRIPPER_NEAR_FAR))

    def draw(self, body: int, link: int) -> Image:
        """The present view from link `link` of body `body`."""
        position, orientation = self._client.getLinkState(body, link)[:2]
        rotation = np.array(pybullet.getMatrixFromQuaternion(orientation)).reshape(3, 3)
        eye = np.array(position)
        view = pybullet.computeViewMatrix(
            eye.tolist(), (eye + rotation[:, 1]).tolist(), (-rotation[:, 2]).tolist()
        )
        return _draw(self._client, self._look, self._size, list(view), self._projection)
