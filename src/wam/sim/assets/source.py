"""Where URDF files come from: the one seam between the simulator and its assets."""

import functools
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

from wam.sim import constants as c
from wam.sim.assets.folder import make_process_folder
from wam.sim.assets.franka import write_franka
from wam.sim.assets.manner import CALVIN, OWN, Manner
from wam.sim.assets.parts import write_box_mesh, write_cylinder_mesh
from wam.sim.assets.table import BULB_ON, LED_ON, LIGHT_OFF, block_urdf, table_urdf
from wam.sim.config import SimConfig
from wam.sim.layout import Layout

Color = tuple[float, float, float]
Made = TypeVar("Made")
_TABLE_NUMBERS: Final = itertools.count()
_WRITING: Final = threading.RLock()


class Assets(Protocol):
    """Files to load and the few facts about them that are not in the files.

    Attributes:
        scale: Factor PyBullet applies to table and blocks on loading.
        light_off: Colour of LED and bulb when off.
        led_on: Colour of the lit LED.
        bulb_on: Colour of the lit bulb.
        manner: Rules of the world they stand in.
    """

    scale: float
    light_off: Color
    led_on: Color
    bulb_on: Color
    manner: Manner

    def robot(self) -> Path:
        """URDF of the arm, with links `tcp` and `gripper_cam`."""
        ...

    def table(self, layout: Layout) -> Path:
        """URDF of the table in a layout, with CALVIN's joint and link names."""
        ...

    def blocks(self) -> tuple[Path, ...]:
        """URDFs of the red, blue and pink block."""
        ...

    def floor(self) -> Path | None:
        """URDF of the floor, None for one that is felt but not seen."""
        ...


def _once(make: Callable[[], Made]) -> Callable[[], Made]:
    """Call ``make`` once per process, also when two threads ask at the same time."""
    made = functools.cache(make)

    @functools.wraps(make)
    def ask() -> Made:
        with _WRITING:
            return made()

    return ask


@_once
def _folder() -> Path:
    """A folder of this process for generated files."""
    folder = make_process_folder()
    write_box_mesh(folder / "box.obj")
    write_cylinder_mesh(folder / "cylinder.obj")
    return folder


@_once
def _generated_robot() -> Path:
    return write_franka(_folder(), _folder() / "box.obj")


@_once
def _generated_blocks() -> tuple[Path, ...]:
    colors: tuple[Color, ...] = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 1.0))
    paths = []
    for name, size, color in zip(c.BLOCK_NAMES, c.BLOCK_SIZES, colors, strict=True):
        path = _folder() / f"{name}.urdf"
        path.write_text(block_urdf(name, size, c.BLOCK_MASS, color, _folder()))
        paths.append(path)
    return tuple(paths)


class PrimitiveAssets:
    """Our own table and blocks of boxes, and a low-polygon version of PyBullet's Franka."""

    scale = 1.0
    light_off: Color = LIGHT_OFF
    led_on: Color = LED_ON
    bulb_on: Color = BULB_ON
    manner = OWN

    def __init__(self) -> None:
        self._table: Path | None = None

    def robot(self) -> Path:
        """URDF of the arm."""
        return _generated_robot()

    def table(self, layout: Layout) -> Path:
        """URDF of the table, valid until the next call; each has its own name, which PyBullet may cache."""
        if self._table is not None:
            self._table.unlink(missing_ok=True)
        self._table = _folder() / f"table_{next(_TABLE_NUMBERS)}.urdf"
        self._table.write_text(table_urdf(layout, _folder()))
        return self._table

    def blocks(self) -> tuple[Path, ...]:
        """URDFs of the red, blue and pink block."""
        return _generated_blocks()

    def floor(self) -> None:
        """No floor to be seen."""


class CalvinAssets:
    """CALVIN's own `data/` folder (scene D): its table has one layout."""

    scale = 0.8
    light_off: Color = (1.0, 1.0, 1.0)
    led_on: Color = (0.0, 1.0, 0.0)
    bulb_on: Color = (1.0, 1.0, 0.0)
    manner = CALVIN

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for path in (self.robot(), self.table_path(), *self.blocks(), self.floor()):
            if not path.is_file():
                raise FileNotFoundError(
                    f"{folder} is not CALVIN's data folder: {path} is missing; set simulator.calvin_data to "
                    "the folder `data` of a checkout of https://github.com/mees/calvin_env"
                )

    def robot(self) -> Path:
        """URDF of the arm."""
        return self._folder / "franka_panda" / "panda_longer_finger.urdf"

    def table_path(self) -> Path:
        """URDF of the table of scene D."""
        return self._folder / "calvin_table_D" / "urdf" / "calvin_table_D.urdf"

    def table(self, layout: Layout) -> Path:  # noqa: ARG002
        """URDF of the table, which does not depend on the layout."""
        return self.table_path()

    def blocks(self) -> tuple[Path, ...]:
        """URDFs of the red, blue and pink block of scene D."""
        names = ("block_red_middle", "block_blue_small", "block_pink_big")
        return tuple(self._folder / "blocks" / f"{name}.urdf" for name in names)

    def floor(self) -> Path:
        """URDF of the chequered floor."""
        return self._folder / "plane" / "plane.urdf"


def make_assets(config: SimConfig) -> Assets:
    """The assets a configuration asks for.

    Raises:
        FileNotFoundError: If CALVIN's folder lacks a file.
    """
    if config.assets == "calvin":
        assert config.calvin_folder is not None, "a page without is refused"
        return CalvinAssets(config.calvin_folder.resolve())
    return PrimitiveAssets()
