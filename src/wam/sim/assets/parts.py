"""URDF text from boxes and cylinders: links with several coloured solids, and the joints between them."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

Vector = tuple[float, float, float]
Color = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Solid:
    """A box (full edge lengths) or, with `radius`, an upright cylinder of height `size[2]`.

    Attributes:
        center: Centre in the link's frame (m).
        size: Edge lengths along the link's axes (m).
        color: Red, green, blue in 0..1.
        roll: Rotation about the link's x axis (rad).
        radius: Cylinder radius (m), or None for a box.
        solid: Whether it can be touched; otherwise it is only seen.
    """

    center: Vector
    size: Vector
    color: Color
    roll: float = 0.0
    radius: float | None = None
    solid: bool = True


@dataclasses.dataclass(frozen=True)
class Joint:
    """How a link hangs on `base_link`; prismatic where `limits` is given, else fixed."""

    name: str
    origin: Vector
    roll: float
    axis: Vector = (0.0, 0.0, 0.0)
    limits: tuple[float, float] | None = None


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)


def write_box_mesh(path: Path) -> None:
    """Write the unit cube: PyBullet's own box visual is a sampled hull that loses corners of long boxes."""
    ends = (-0.5, 0.5)
    corners = [(x, y, z) for x in ends for y in ends for z in ends]
    quads = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))
    _write_mesh(path, corners, [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))])


def write_cylinder_mesh(path: Path, sides: int = 12) -> None:
    """Write an upright cylinder of diameter and height 1 without its bottom."""
    angles = [2 * math.pi * i / sides for i in range(sides)]
    ring = [(0.5 * math.cos(a), 0.5 * math.sin(a)) for a in angles]
    vertices = [(x, y, z) for z in (-0.5, 0.5) for x, y in ring] + [(0.0, 0.0, 0.5)]
    faces = []
    for i in range(1, sides + 1):
        j = i % sides + 1
        faces += [(i, j, sides + j), (i, sides + j, sides + i), (sides + i, sides + j, 2 * sides + 1)]
    _write_mesh(path, vertices, faces)


def _write_mesh(path: Path, vertices: Sequence[Vector], faces: Sequence[tuple[int, int, int]]) -> None:
    lines = [f"v {_numbers(vertex)}" for vertex in vertices] + ["f {} {} {}".format(*face) for face in faces]
    path.write_text("\n".join(lines) + "\n")


def _shape(solid: Solid, meshes: Path | None) -> str:
    """Geometry of a solid: for collisions (no `meshes`) a primitive, for the eye a scaled mesh."""
    radius, (x, y, z) = solid.radius, solid.size
    if meshes is not None:
        scale = (x, y, z) if radius is None else (2 * radius, 2 * radius, z)
        name = "box" if radius is None else "cylinder"
        geometry = f'<mesh filename="{meshes / name}.obj" scale="{_numbers(scale)}"/>'
    elif radius is None:
        geometry = f'<box size="{_numbers(solid.size)}"/>'
    else:
        geometry = f'<cylinder radius="{radius!r}" length="{z!r}"/>'
    origin = f'<origin xyz="{_numbers(solid.center)}" rpy="{_numbers((solid.roll, 0, 0))}"/>'
    return f"{origin}<geometry>{geometry}</geometry>"


def link_xml(name: str, mass: float, solids: Sequence[Solid], meshes: Path) -> str:
    """One URDF link; its centre of mass is the centre of its touchable solids.

    `meshes` is the folder of `box.obj` and `cylinder.obj`. Material names are global in a URDF file (the
    first colour of a name wins), so each is unique.
    """
    touchable = [solid for solid in solids if solid.solid] or list(solids)
    middle = [math.fsum(solid.center[i] for solid in touchable) / len(touchable) for i in range(3)]
    lines = [f'<link name="{name}">']
    lines.append(
        f'<inertial><origin xyz="{_numbers(middle)}" rpy="0 0 0"/><mass value="{mass!r}"/>'
        '<inertia ixx="0.001" ixy="0" ixz="0" iyy="0.001" iyz="0" izz="0.001"/></inertial>'
    )
    for i, solid in enumerate(solids):
        material = f'<material name="{name}_{i}"><color rgba="{_numbers((*solid.color, 1.0))}"/></material>'
        lines.append(f"<visual>{_shape(solid, meshes)}{material}</visual>")
        if solid.solid:
            lines.append(f"<collision>{_shape(solid, None)}</collision>")
    return "\n".join([*lines, "</link>"])


def joint_xml(joint: Joint, child: str) -> str:
    """One URDF joint from `base_link` to `child`."""
    kind = "fixed" if joint.limits is None else "prismatic"
    limit = ""
    if joint.limits is not None:
        limit = f'<limit lower="{joint.limits[0]!r}" upper="{joint.limits[1]!r}" effort="0" velocity="0"/>'
    return (
        f'<joint name="{joint.name}" type="{kind}">'
        f'<origin xyz="{_numbers(joint.origin)}" rpy="{_numbers((joint.roll, 0, 0))}"/>'
        f'<parent link="base_link"/><child link="{child}"/><axis xyz="{_numbers(joint.axis)}"/>'
        f"{limit}</joint>"
    )


def robot_xml(name: str, elements: Sequence[str]) -> str:
    """A whole URDF document."""
    return "\n".join(['<?xml version="1.0"?>', f'<robot name="{name}">', *elements, "</robot>"])
