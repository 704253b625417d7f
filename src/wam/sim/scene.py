"""The table with its furniture, lights and blocks: CALVIN's 24-d scene state in and out."""

from pathlib import Path

import numpy as np
import pybullet
from numpy.typing import NDArray

from wam.contracts import SCENE_STATE_DIM
from wam.sim import constants as c
from wam.sim.assets.source import Assets
from wam.sim.client import Client
from wam.sim.entities import Block, Light, SlidingJoint, Trigger
from wam.sim.layout import Layout

_JOINTS = (
    ("base__slide", c.SLIDE_LIMITS),
    ("base__drawer", c.DRAWER_LIMITS),
    ("base__button", c.BUTTON_LIMITS),
    ("base__switch", c.SWITCH_LIMITS),
)
"""In the order of the scene state."""
_BUTTON, _SWITCH, _BULB, _LED, _BLOCKS = 2, 3, 4, 5, 6


class Scene:
    """Everything that stands on or around the table in one client.

    Attributes:
        table: PyBullet's body id of the table.
        links: Index of each link of the table by name.
        still: Links of our own table that never move nor change colour, with their body.
        blocks: Red, blue and pink block.
    """

    def __init__(self, client: Client, assets: Assets, layout: Layout) -> None:
        self._client = client
        self.blocks = [
            self._load_block(str(path), place, assets)
            for path, place in zip(assets.blocks(), c.BLOCK_SPOTS, strict=True)
        ]
        manner = assets.manner
        self.table: int = client.loadURDF(
            str(assets.table(layout)), useFixedBase=not manner.damps_links, globalScaling=assets.scale
        )
        self.floor = self._make_floor(assets.floor())
        names = {}
        self.links: dict[str, int] = {}
        for i in range(client.getNumJoints(self.table)):
            info = client.getJointInfo(self.table, i)
            names[info[1].decode()] = i
            self.links[info[12].decode()] = i
        self.still = [(self.table, -1), (self.table, self.links["plank_link"])]
        self.joints = [
            SlidingJoint(
                client,
                self.table,
                names[name],
                limits,
                springs=name == "base__button",
                free=not manner.enforces_limits,
            )
            for name, limits in _JOINTS
        ]
        self._indices = [joint.joint for joint in self.joints]
        self._enforced = self.joints if manner.enforces_limits else []
        for index in [] if manner.damps_links else self._indices:
            client.changeDynamics(self.table, index, jointDamping=0.0, linearDamping=0.0, angularDamping=0.0)
        off = assets.light_off
        self.bulb = Light(client, self.table, self.links["light_link"], off=off, on=assets.bulb_on)
        self.led = Light(client, self.table, self.links["led_link"], off=off, on=assets.led_on)
        self.button = Trigger(c.BUTTON_TRIGGER)
        self.switch = Trigger(c.SWITCH_TRIGGER)

    def _load_block(self, path: str, place: tuple[float, float, float], assets: Assets) -> Block:
        spot = place if assets.manner.published_build else (0.0, 0.0, 0.0)
        return Block(self._client, self._client.loadURDF(path, basePosition=spot, globalScaling=assets.scale))

    def _make_floor(self, path: Path | None) -> int:
        """CALVIN's floor, or an unseen one at z = 0: the speck is drawn instead of PyBullet's checkers."""
        if path is not None:
            loaded: int = self._client.loadURDF(str(path))
            return loaded
        plane = self._client.createCollisionShape(pybullet.GEOM_PLANE)
        speck = self._client.createVisualShape(pybullet.GEOM_BOX, halfExtents=(1e-4, 1e-4, 1e-4))
        body: int = self._client.createMultiBody(0, plane, speck, basePosition=(0, 0, 0))
        return body

    def reset(self, state: NDArray[np.float64]) -> None:
        """Restore a scene state (24,), with the logic of button and switch as their joints say.

        Lights are taken as given, so a light that disagrees with its switch (CALVIN's data has some)
        stays until the switch next changes; a button held down does not toggle the LED again.
        """
        for joint, position in zip(self.joints, state[:4].tolist(), strict=True):
            joint.reset(position)
        self.bulb.set(bool(state[_BULB] > 0.5))
        self.led.set(bool(state[_LED] > 0.5))
        self.button.reset(float(state[_BUTTON]))
        self.switch.reset(float(state[_SWITCH]))
        for block, pose in zip(self.blocks, state[_BLOCKS:].reshape(-1, 6), strict=True):
            block.reset(pose)

    def enforce_limits(self) -> None:
        """Bring every joint of the furniture back into its range; after every physics step.

        With CALVIN's own table this does nothing, as in CALVIN.
        """
        if not self._enforced:
            return
        states = self._client.getJointStates(self.table, self._indices)
        for joint, (position, velocity, *_) in zip(self._enforced, states, strict=True):
            joint.enforce(position, velocity)

    def update_lights(self) -> None:
        """Let switch and button act on bulb and LED; after every control step."""
        states = self._client.getJointStates(self.table, self._indices)
        if self.switch.update(states[_SWITCH][0]):
            self.bulb.set(self.switch.is_active)
        if self.button.update(states[_BUTTON][0]) and self.button.is_active:
            self.led.set(not self.led.is_on)

    def observe(self) -> NDArray[np.float64]:
        """CALVIN's scene_obs, shape (24,): slide, drawer, button, switch (m), bulb, LED, block poses."""
        state = np.empty(SCENE_STATE_DIM)
        state[:4] = [joint[0] for joint in self._client.getJointStates(self.table, self._indices)]
        state[_BULB], state[_LED] = self.bulb.is_on, self.led.is_on
        for i, block in enumerate(self.blocks):
            state[_BLOCKS + 6 * i : _BLOCKS + 6 * i + 6] = block.pose()
        return state
