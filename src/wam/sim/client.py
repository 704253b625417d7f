"""One PyBullet world: every call carries its client id, so that several live in one process."""

import functools
import importlib.util
from typing import Any

import pybullet


class NoOpenGLError(RuntimeError):
    """OpenGL cannot be had."""


class Client:
    """A direct (headless) physics client; attributes are PyBullet's functions bound to it.

    Module-level PyBullet calls go to client 0, whoever owns it: nothing in this package makes one.

    Args:
        opengl: Largest height or width (pixels) of images to be drawn with OpenGL; None draws in software.

    Attributes:
        renderer: PyBullet's number of what draws.

    Raises:
        NoOpenGLError: If there is no driver.
    """

    def __init__(self, *, opengl: int | None = None) -> None:
        # PyBullet prints the options that it is given, even none
        options = {} if opengl is None else {"options": f"--width={opengl} --height={opengl}"}
        self._id: int = pybullet.connect(pybullet.DIRECT, **options)
        if self._id < 0:
            raise RuntimeError("PyBullet could not open a physics client; close other environments first")
        self.renderer: int = pybullet.ER_TINY_RENDERER
        if opengl is not None:
            self._load_opengl()
            self.renderer = pybullet.ER_BULLET_HARDWARE_OPENGL

    def _load_opengl(self) -> None:
        """Load PyBullet's plugin, the file of a module of its own."""
        module = importlib.util.find_spec("eglRenderer")
        if module is None or self.loadPlugin(module.origin, "_eglRendererPlugin") < 0:
            self.close()
            raise NoOpenGLError(
                "simulator.renderer is 'egl', but PyBullet's OpenGL plugin could not be loaded; install an "
                "OpenGL driver (Mesa's draws in software), or set simulator.renderer to 'tiny'"
            )

    def __getattr__(self, name: str) -> Any:
        function = getattr(pybullet, name)
        if not callable(function):
            return function
        bound = functools.partial(function, physicsClientId=self._id)
        setattr(self, name, bound)
        return bound

    def close(self) -> None:
        """Disconnect; a second call does nothing."""
        if self._id >= 0:
            pybullet.disconnect(physicsClientId=self._id)
            self._id = -1
