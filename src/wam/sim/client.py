"""One PyBullet world: every call carries its client id, so that several live in one process."""

import functools
from typing import Any

import pybullet


class Client:
    """A direct (headless) physics client; attributes are PyBullet's functions bound to it.

    Module-level PyBullet calls go to client 0, whoever owns it: nothing in this package makes one.
    """

    def __init__(self) -> None:
        self._id: int = pybullet.connect(pybullet.DIRECT)
        if self._id < 0:
            raise RuntimeError("PyBullet could not open a physics client; close other environments first")

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
