"""CALVIN's `get_info` dictionary, which its task oracle compares at the start and the end of an attempt."""

from typing import Any

from wam.sim.client import Client
from wam.sim.constants import BLOCK_NAMES
from wam.sim.robot import Robot
from wam.sim.scene import Scene


def describe(client: Client, robot: Robot, scene: Scene) -> dict[str, Any]:
    """Robot and scene as CALVIN describes them; contacts are PyBullet's 14-tuples."""
    return {"robot_info": _robot_info(client, robot), "scene_info": _scene_info(client, scene)}


def _robot_info(client: Client, robot: Robot) -> dict[str, Any]:
    state = robot.observe()
    return {
        "tcp_pos": tuple(state[:3].tolist()),
        "tcp_orn": tuple(state[3:6].tolist()),
        "gripper_opening_width": float(state[6]),
        "arm_joint_states": state[7:14].tolist(),
        "gripper_action": int(state[14]),
        "uid": robot.body,
        "contacts": client.getContactPoints(bodyA=robot.body),
    }


def _scene_info(client: Client, scene: Scene) -> dict[str, Any]:
    slide, drawer, button, switch = scene.observe()[:4].tolist()
    table = {
        "uid": scene.table,
        "links": {"base_link": -1, **scene.links},
        "contacts": client.getContactPoints(bodyA=scene.table),
    }
    return {
        "fixed_objects": {"table": table},
        "movable_objects": {
            name: _block_info(client, block.body)
            for name, block in zip(BLOCK_NAMES, scene.blocks, strict=True)
        },
        "doors": {"base__slide": {"current_state": slide}, "base__drawer": {"current_state": drawer}},
        "buttons": {"base__button": {"joint_state": button, "logical_state": int(scene.button.is_active)}},
        "switches": {"base__switch": {"joint_state": switch, "logical_state": int(scene.switch.is_active)}},
        "lights": {
            "lightbulb": {"logical_state": int(scene.bulb.is_on)},
            "led": {"logical_state": int(scene.led.is_on)},
        },
    }


def _block_info(client: Client, body: int) -> dict[str, Any]:
    position, orientation = client.getBasePositionAndOrientation(body)
    linear, angular = client.getBaseVelocity(body)
    return {
        "current_pos": position,
        "current_orn": orientation,
        "current_lin_vel": linear,
        "current_ang_vel": angular,
        "contacts": client.getContactPoints(bodyA=body),
        "uid": body,
    }
