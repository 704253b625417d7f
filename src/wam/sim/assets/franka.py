"""URDF of the low-polygon Franka: the arm that ships with PyBullet, with longer fingers, camera and TCP.

Each link's shape, seen and touched, is a coarse convex body around the collision mesh in `pybullet_data`
(Apache-2.0): its support points in the directions of an icosphere. The kinematics are those of its URDF.
"""

import functools
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pybullet_data
from numpy.typing import NDArray

from wam.sim import geometry as g

_LIGHT = "0.93 0.93 0.95 1"
_DARK = "0.15 0.15 0.18 1"
_TCP_IN_HAND = 0.14
_FINGER_IN_HAND = 0.0584


@functools.cache
def _icosphere() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """42 unit directions (42, 3) and 80 faces (80, 3): an icosahedron with each face split in four."""
    phi = (1 + 5**0.5) / 2
    corners = [(s * 1.0, t * phi, 0.0) for s in (-1, 1) for t in (-1, 1)]
    points = np.array([p for x, y, z in corners for p in ((x, y, z), (z, x, y), (y, z, x))])
    edges = [
        (i, j) for i in range(12) for j in range(i) if abs(np.linalg.norm(points[i] - points[j]) - 2) < 1e-6
    ]
    near = set(edges)
    triples = [(i, j, k) for i, j in edges for k in range(j) if (j, k) in near and (i, k) in near]
    vertices = list(points)
    middle = {}
    for i, j in edges:
        middle[i, j] = len(vertices)
        vertices.append(points[i] + points[j])
    faces = []
    for i, j, k in triples:
        a, b, d = middle[i, j], middle[j, k], middle[i, k]
        faces += [(i, a, d), (j, a, b), (k, b, d), (a, b, d)]
    unit = np.array(vertices)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return unit, np.array([_outwards(unit, face) for face in faces])


def _outwards(points: NDArray[np.float64], face: tuple[int, int, int]) -> tuple[int, int, int]:
    i, j, k = face
    normal = np.cross(points[j] - points[i], points[k] - points[i])
    return face if float(normal @ points[i]) > 0 else (i, k, j)


def coarse_hull(vertices: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Support points (n <= 42, 3) of `vertices` (m, 3) and the triangles (k <= 80, 3) between them."""
    directions, faces = _icosphere()
    chosen, index = np.unique(np.argmax(vertices @ directions.T, axis=0), return_inverse=True)
    mapped = index[faces]
    distinct = (
        (mapped[:, 0] != mapped[:, 1]) & (mapped[:, 1] != mapped[:, 2]) & (mapped[:, 0] != mapped[:, 2])
    )
    return vertices[chosen], mapped[distinct]


def _write_hull(source: Path, target: Path) -> None:
    lines = source.read_text().splitlines()
    vertices = np.array([[float(x) for x in line.split()[1:4]] for line in lines if line.startswith("v ")])
    points, faces = coarse_hull(vertices)
    text = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points]
    text += [f"f {i} {j} {k}" for i, j, k in faces + 1]
    target.write_text("\n".join(text) + "\n")


def _set_geometry(element: ET.Element, geometry: ET.Element, origin: str, color: str | None) -> None:
    for child in list(element):
        element.remove(child)
    ET.SubElement(element, "origin", xyz=origin, rpy="0 0 0")
    ET.SubElement(element, "geometry").append(geometry)
    if color is not None:
        material = ET.SubElement(element, "material", name="shade_" + color.split()[0])
        ET.SubElement(material, "color", rgba=color)


def _shape_arm(root: ET.Element, folder: Path) -> None:
    meshes = Path(pybullet_data.getDataPath()) / "franka_panda" / "meshes" / "collision"
    for name in [*(f"link{i}" for i in range(8)), "hand"]:
        link = root.find(f"link[@name='panda_{name}']")
        assert link is not None, f"pybullet_data's panda.urdf has no link panda_{name}"
        target = folder / f"{name}.obj"
        _write_hull(meshes / f"{name}.obj", target)
        for kind in ("visual", "collision"):
            color = _LIGHT if kind == "visual" else None
            for element in link.findall(kind):
                _set_geometry(element, ET.Element("mesh", filename=str(target)), "0 0 0", color)


def _shape_fingers(root: ET.Element, box: Path) -> None:
    length = _TCP_IN_HAND + g.FINGER_TIP_BELOW_TCP - _FINGER_IN_HAND
    size = f"{g.FINGER_DEPTH} {g.FINGER_THICKNESS} {length}"
    for name, side in (("left", 1), ("right", -1)):
        link = root.find(f"link[@name='panda_{name}finger']")
        assert link is not None, f"pybullet_data's panda.urdf has no link panda_{name}finger"
        for kind in ("visual", "collision"):
            color = _DARK if kind == "visual" else None
            for element in link.findall(kind):
                origin = f"0 {side * g.FINGER_THICKNESS / 2} {length / 2}"
                seen, felt = ET.Element("mesh", filename=str(box), scale=size), ET.Element("box", size=size)
                _set_geometry(element, seen if kind == "visual" else felt, origin, color)


def _add_link(root: ET.Element, name: str, mass: float, xyz: str, rpy: str) -> None:
    link = ET.SubElement(root, "link", name=name)
    inertial = ET.SubElement(link, "inertial")
    ET.SubElement(inertial, "origin", xyz="0 0 0", rpy="0 0 0")
    ET.SubElement(inertial, "mass", value=str(mass))
    ET.SubElement(inertial, "inertia", ixx="0.1", ixy="0", ixz="0", iyy="0.1", iyz="0", izz="0.1")
    joint = ET.SubElement(root, "joint", name=f"{name}_joint", type="fixed")
    ET.SubElement(joint, "parent", link="panda_hand")
    ET.SubElement(joint, "child", link=name)
    ET.SubElement(joint, "origin", xyz=xyz, rpy=rpy)


def write_franka(folder: Path, box: Path) -> Path:
    """Write the arm's URDF and meshes into `folder` and return the URDF's path.

    `box` is the unit cube mesh that fingers are drawn with.
    """
    tree = ET.parse(Path(pybullet_data.getDataPath()) / "franka_panda" / "panda.urdf")  # noqa: S314
    root = tree.getroot()
    _shape_arm(root, folder)
    _shape_fingers(root, box)
    _add_link(root, "gripper_cam", 0.2, "-0.1 0 0", "1.3 0 -1.57")
    _add_link(root, "tcp", 1e-5, f"0 0 {_TCP_IN_HAND}", "0 0 0")
    path = folder / "franka.urdf"
    tree.write(path)
    return path
