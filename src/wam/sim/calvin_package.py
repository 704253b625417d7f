"""The official `calvin_env` package (https://github.com/mees/calvin_env), made to run on current Python.

It is the user's own copy: a source folder, because an installed one lacks its configuration and its assets.
What stands between it and Python 3.11 with NumPy 2 is put right here, from outside:

- `gym`, unmaintained, is gymnasium under another name; nothing but its base class and its seeding is used.
- `quaternion` is imported for an optional solver that scene D does not use: it may be missing.
- The package looks for its own git commit and fails where there is none.
- A few calls name no physics client and reach the first one of the process, whoever's that is.
"""

import contextlib
import functools
import importlib
import importlib.util
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import gymnasium
import gymnasium.utils.seeding
import pybullet
from omegaconf import OmegaConf

from wam.sim import constants as c
from wam.sim.config import SimConfig

_LOADING: Final = threading.RLock()
"""The package's modules are shared by all environments of a process."""
_INSTALL: Final = (
    "clone https://github.com/mees/calvin_env, set simulator.calvin_env to that folder, and install what it "
    "needs in this project's folder with: pip install -e '.[calvin]'"
)


class CalvinEnvMissingError(RuntimeError):
    """The official package cannot be used; the message says how to get it."""


class _BoundBullet:
    """PyBullet's module with one client's id in every call that names none."""

    def __init__(self, client: int = -1) -> None:
        self._client = client

    def connect(self, *arguments: Any, **options: Any) -> int:
        """Open a client and serve it from now on."""
        self._client = pybullet.connect(*arguments, **options)
        return self._client

    def __getattr__(self, name: str) -> Any:
        found = getattr(pybullet, name)
        if not callable(found) or self._client < 0:
            return found
        return functools.partial(found, physicsClientId=self._client)


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """Modules the package imports by names that do not exist here; gone again afterwards."""
    aliases: dict[str, types.ModuleType] = {
        "gym": gymnasium,
        "gym.utils": gymnasium.utils,
        "gym.utils.seeding": gymnasium.utils.seeding,
    }
    if importlib.util.find_spec("quaternion") is None:
        aliases["quaternion"] = types.ModuleType("quaternion")
    before = {name: sys.modules.get(name) for name in aliases}
    sys.modules.update(aliases)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _source_folder(configured: str | None) -> Path:
    """The folder that holds the package `calvin_env`, its `conf` and its `data`."""
    if configured is None:
        spec = importlib.util.find_spec("calvin_env")
        if spec is None or spec.origin is None:
            raise CalvinEnvMissingError(f"backend 'calvin' needs the package calvin_env: {_INSTALL}")
        folder = Path(spec.origin).resolve().parents[1]
    else:
        folder = Path(configured).resolve()
    for part in ("calvin_env/__init__.py", "conf/scene/calvin_scene_D.yaml"):
        if not (folder / part).is_file():
            raise CalvinEnvMissingError(
                f"{folder} is not a checkout of calvin_env: {part} is missing; {_INSTALL}"
            )
    return folder


def _imported(folder: Path) -> types.ModuleType:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    with _stand_ins(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about hydra's version, and about what future Pythons will not have
        try:
            module = importlib.import_module("calvin_env.envs.play_table_env")
        except ModuleNotFoundError as error:
            raise CalvinEnvMissingError(
                f"calvin_env at {folder} needs the package {error.name}, which is not installed; {_INSTALL}"
            ) from error
    where = Path(str(module.__file__)).resolve()
    if not where.is_relative_to(folder):
        raise CalvinEnvMissingError(f"calvin_env was imported from {where} before, not from {folder}")
    module.__dict__["get_git_commit_hash"] = lambda _: "unknown"
    _bind_robot_loading()
    return module


def _bind_robot_loading() -> None:
    """Let the robot's loading, whose calls name no client, reach the client of its own environment."""
    robot = importlib.import_module("calvin_env.robot.robot")
    original: Callable[[Any], None] = robot.Robot.load
    if getattr(original, "is_bound", False):
        return

    @functools.wraps(original)
    def load(self: Any) -> None:
        with _LOADING, _replaced(robot, "p", _BoundBullet(self.cid)):
            original(self)

    load.is_bound = True  # type: ignore[attr-defined]
    robot.Robot.load = load


def _configuration(folder: Path, config: SimConfig) -> Any:
    """The package's own configuration of scene D, with our sizes of images.

    Blocks are loaded where its evaluation scene has them, not at random: where they lay before they were put
    in their places shows in the last digits of every later contact, and so, soon, in all of them.
    """

    def page(name: str) -> Any:
        loaded: Any = OmegaConf.load(folder / "conf" / f"{name}.yaml")
        loaded.pop("defaults", None)
        return loaded

    cameras = {name: page(f"cameras/cameras/{name}") for name in ("static", "gripper")}
    sizes = {"static": config.image_size_static, "gripper": config.image_size_gripper}
    for name, size in sizes.items():
        cameras[name].width = cameras[name].height = size
    scene = page("scene/calvin_scene_D")
    for name, spot in zip(c.BLOCK_NAMES, c.BLOCK_SPOTS, strict=True):
        scene.objects.movable_objects[name].update(initial_pos=list(spot), initial_orn=[0.0, 0.0, 0.0])
    data = Path(config.calvin_data) if config.calvin_data else folder / "data"
    return OmegaConf.create(
        {
            "data_path": str(data.resolve()),
            "use_vr": False,
            "cameras": cameras,
            "robot": OmegaConf.merge(page("robot/panda"), page("robot/panda_longer_finger")),
            "scene": scene,
            "env": page("env/play_table_env"),
        }
    )


def make_official_env(config: SimConfig) -> Any:
    """The official `PlayTableSimEnv` in scene D with both cameras.

    Raises:
        CalvinEnvMissingError: If the package, its folder or something it needs is missing.
    """
    folder = _source_folder(config.calvin_env)
    with _LOADING:
        module = _imported(folder)
        hydra = importlib.import_module("hydra")
        page = _configuration(folder, config).env
        with _replaced(module, "p", _BoundBullet()):
            return hydra.utils.instantiate(
                page, show_gui=False, use_vr=False, use_scene_info=True, use_egl=config.renderer == "egl"
            )


def make_official_oracle(config: SimConfig) -> Any:
    """The official task oracle, with its `get_task_info` of two moments.

    Raises:
        CalvinEnvMissingError: If the package, its folder or something it needs is missing.
    """
    folder = _source_folder(config.calvin_env)
    with _LOADING:
        _imported(folder)
        tasks: Any = OmegaConf.load(folder / "conf" / "tasks" / "new_playtable_tasks.yaml")
        return importlib.import_module("calvin_env.envs.tasks").Tasks(tasks["tasks"])
