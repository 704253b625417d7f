"""The static view in two layers: what stands still is drawn once, what moves with every image.

A third of an image's time goes into the large faces of the table, and they never move. TinyRenderer without
shadows gives a pixel the colour of the nearest surface there, whatever else is drawn, so that two drawings
put together by depth are one. Where the depths of the two layers are too close to tell which of them one
drawing would show, all is drawn at once.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wam.sim.assets.manner import Look
from wam.sim.cameras import Image, StaticCamera
from wam.sim.client import Client
from wam.sim.entities import Light

Link = tuple[int, int]
"""PyBullet's body id and link index, -1 for the base."""
Shape = tuple[int, int, int, Sequence[float]]
"""Body id, link index, index among the visual shapes of the link, RGBA in 0..1."""

_NEAR: Final = 0.5
"""Near plane (m) of the layers. Depth is kept as a 32-bit number of 1 / distance, which with the camera's
near plane of 1 cm tells surfaces 4 m away apart by 0.1 mm only, with this one by 2 micrometres. Colours and
which pixels a surface covers do not depend on it."""
_HIGHEST: Final = 1.9
"""Height (m) below which nothing in the picture is nearer to the camera than `_NEAR`; well above the arm."""
_TIE: Final = 1e-6
"""Window depths closer than this may be in another order in one drawing: 30 micrometres at 4 m, against
rounding of distances by half of one."""


class Parts:
    """Visual shapes of some links; the renderer skips what has no opacity.

    To be made before any shape is repainted: PyBullet reports wrong colours of a link with several shapes
    after one of them was.
    """

    def __init__(self, client: Client, shapes: Iterable[Shape]) -> None:
        self._client = client
        self._shapes = list(shapes)
        self._links = sorted({(body, link) for body, link, _, _ in self._shapes})

    def hide(self) -> None:
        """Draw them no more."""
        for body, link in self._links:
            self._client.changeVisualShape(body, link, rgbaColor=(0.0, 0.0, 0.0, 0.0))

    def show(self) -> None:
        """Draw them again, in the colours they had when this object was made."""
        for body, link, index, color in self._shapes:
            self._client.changeVisualShape(body, link, shapeIndex=index, rgbaColor=color)


def all_shapes(client: Client) -> list[Shape]:
    """All visual shapes of a client."""
    found: list[Shape] = []
    count: Counter[Link] = Counter()
    for i in range(client.getNumBodies()):
        for body, link, *_, color in (s[:8] for s in client.getVisualShapeData(client.getBodyUniqueId(i))):
            found.append((body, link, count[body, link], color))
            count[body, link] += 1
    return found


class LayeredCamera:
    """Draws what a static camera draws, to the bit, in half the time; for looks without shadows.

    `begin` is due with every new world. Nothing outside is changed by a drawing.

    Attributes:
        redrawn: Images for which a tie of depths made all be drawn at once.
    """

    def __init__(self, client: Client, size: int, look: Look) -> None:
        self._client = client
        self._plain = StaticCamera(client, size, look)
        self._camera = StaticCamera(client, size, look, near=_NEAR)
        self._still: Parts | None = None
        self.redrawn = 0

    def begin(self, still: Collection[Link], loose: Sequence[int], lights: Sequence[Light]) -> None:
        """Take on a new world that nobody has repainted yet.

        Args:
            still: Links that neither move nor change colour until the next call.
            loose: Bodies that could be thrown up to the camera.
            lights: What changes its colour.
        """
        shapes = all_shapes(self._client)
        self._still = Parts(self._client, (shape for shape in shapes if shape[:2] in still))
        self._moving = Parts(self._client, (shape for shape in shapes if shape[:2] not in still))
        self._loose = list(loose)
        self._lights = list(lights)
        self._backdrop: tuple[NDArray[np.uint32], NDArray[np.float32]] | None = None

    def draw(self) -> Image:
        """The present view."""
        if self._still is None or self._anything_high():
            return self._plain.draw()
        if self._backdrop is None:
            self._backdrop = self._draw_backdrop()
        still_pixels, still_depth = self._backdrop
        pixels, depth = self._draw_without(self._still)
        behind = depth - still_depth
        if np.abs(behind).min() < _TIE:
            self.redrawn += 1
            return self._plain.draw()
        np.copyto(pixels, still_pixels, where=behind > 0.0)
        return self._camera.develop(pixels)

    def _anything_high(self) -> bool:
        positions = (self._client.getBasePositionAndOrientation(body)[0] for body in self._loose)
        return any(position[2] > _HIGHEST for position in positions)

    def _draw_backdrop(self) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Pixels and depth of what stands still; infinitely far where there is nothing."""
        pixels, depth = self._draw_without(self._moving)
        for light in self._lights:
            light.set(light.is_on)  # come back unlit
        return pixels, np.where(depth >= 1.0, np.float32(np.inf), depth)

    def _draw_without(self, parts: Parts) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        parts.hide()
        try:
            return self._camera.expose()
        finally:
            parts.show()
