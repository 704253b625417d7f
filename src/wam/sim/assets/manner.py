"""Where our world is kept in another manner than CALVIN's: limits, damping, the moment of reset, looks.

With CALVIN's own assets everything is as its simulator does it, quirks of the joints included, so that both
run along the same trajectory. Our own table takes the liberties that docs/simulator.md lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True)
class Look:
    """How images are lit.

    Attributes:
        light: Arguments of PyBullet's camera call, set with every image: it keeps the last values of a client
            for calls that leave them out. Empty for PyBullet's own light.
        background: Grey (0..255) of what no body covers, None for the renderer's white.
    """

    light: Mapping[str, Any] = field(default_factory=dict)
    background: int | None = None

    @property
    def casts_no_shadows(self) -> bool:
        """Whether shadows are turned off, so that a pixel shows the nearest surface and nothing else."""
        return self.light.get("shadow") == 0


@dataclass(frozen=True)
class Manner:
    """How a world is built and kept.

    Attributes:
        enforces_limits: Furniture that is placed or pushed beyond its range is put back. PyBullet's limits
            only stop motion: a joint that is outside stays there.
        damps_links: Links of the furniture keep Bullet's damping of 0.04.
        published_build: Everything is built in CALVIN's steps, which decide in what order Bullet solves
            contacts: the arm stands in its rest pose and the blocks lie apart before the start is taken on,
            pairs keep the order in which they arose (calvin_env asks for sorted ones, then resets the
            simulation, which forgets it), and the fingers are held at their measured width with the closing
            force during the one physics step of a reset.
        pedestal: A white cylinder is drawn under the arm.
        look: Light and background.
    """

    enforces_limits: bool
    damps_links: bool
    published_build: bool
    pedestal: bool
    look: Look


OWN: Final = Manner(
    enforces_limits=True,
    damps_links=False,
    published_build=False,
    pedestal=False,
    look=Look(
        light=MappingProxyType(
            {
                "lightDirection": (1.0, -1.2, 2.2),
                "lightColor": (1.0, 1.0, 1.0),
                "lightDistance": 2.0,
                "lightAmbientCoeff": 0.65,
                "lightDiffuseCoeff": 0.35,
                "lightSpecularCoeff": 0.02,
                "shadow": 0,
            }
        ),
        # The renderer's white would be the largest contrast of every image, and a small world model would
        # spend its first minutes on it.
        background=128,
    ),
)
CALVIN: Final = Manner(
    enforces_limits=False, damps_links=True, published_build=True, pedestal=True, look=Look()
)
