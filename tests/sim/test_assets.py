"""Generated and loaded assets."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from wam.sim.assets.folder import make_process_folder
from wam.sim.assets.franka import coarse_hull
from wam.sim.assets.source import PrimitiveAssets, make_assets
from wam.sim.config import SimConfig
from wam.sim.env import PlayTableEnv
from wam.sim.layout import MEAN_LAYOUT

CALVIN = os.environ.get("WAM_CALVIN_ASSETS")


def test_coarse_hull_is_a_closed_outward_surface_of_given_points():
    cloud = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 0.5, 2.0]
    points, faces = coarse_hull(cloud)
    assert len(points) <= 42
    assert len(faces) <= 80
    assert {tuple(point) for point in points} <= {tuple(point) for point in cloud}
    a, b, c = points[faces].transpose(1, 0, 2)
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert volume > 0
    np.testing.assert_allclose(np.cross(b - a, c - a).sum(axis=0), 0, atol=1e-9)


def test_our_table_has_calvins_joints_in_calvins_order():
    root = ET.parse(PrimitiveAssets().table(MEAN_LAYOUT)).getroot()  # noqa: S314
    joints = [(joint.get("name"), joint.get("type")) for joint in root.findall("joint")]
    assert joints == [
        ("base__button", "prismatic"),
        ("base__switch", "prismatic"),
        ("base__slide", "prismatic"),
        ("base__drawer", "prismatic"),
        ("base__led", "fixed"),
        ("base__light", "fixed"),
        ("base__plank", "fixed"),
    ]


def test_the_arm_is_drawn_with_few_triangles():
    root = ET.parse(PrimitiveAssets().robot()).getroot()  # noqa: S314
    meshes = {mesh.get("filename") for mesh in root.findall("link/visual/geometry/mesh")}
    faces = sum(Path(str(path)).read_text().count("f ") for path in meshes)
    assert 100 < faces < 900


def test_generated_tables_do_not_pile_up():
    assets = PrimitiveAssets()
    first = assets.table(MEAN_LAYOUT)
    second = assets.table(MEAN_LAYOUT)
    assert second.exists()
    assert not first.exists()


def test_calvin_needs_its_folder_and_its_layout(tmp_path):
    with pytest.raises(ValidationError, match="calvin_data"):
        SimConfig(assets="calvin", layout="fixed")
    with pytest.raises(ValidationError, match="cannot be varied"):
        SimConfig(assets="calvin", calvin_data=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="panda_longer_finger"):
        make_assets(SimConfig(assets="calvin", layout="fixed", calvin_data=str(tmp_path)))


@pytest.mark.slow
@pytest.mark.skipif(CALVIN is None, reason="set WAM_CALVIN_ASSETS to CALVIN's data folder")
def test_calvins_own_table_loads_and_is_restored():
    config = SimConfig(assets="calvin", layout="fixed", calvin_data=CALVIN)
    env = PlayTableEnv(config, render=False)
    observation, info = env.reset(seed=0)
    start = info["start"]
    assert start.layout is None
    np.testing.assert_allclose(observation["robot_obs"], start.robot_obs, atol=1e-3)
    np.testing.assert_allclose(observation["scene_obs"], start.scene_state, atol=2e-2)
    env.step(np.zeros(7))
    env.close()


def test_a_folder_lasts_as_long_as_its_process(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = make_process_folder()
    code = "from wam.sim.assets.folder import make_process_folder as make; print(make(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        theirs = Path(other.stdout.readline().strip())
        assert make_process_folder().parent == theirs.parent == tmp_path
        assert theirs.is_dir()
        other.kill()
    assert theirs.is_dir()
    make_process_folder()
    assert not theirs.exists()
    assert mine.is_dir()


def test_a_folder_is_removed_at_exit(tmp_path):
    code = "from wam.sim.assets.folder import make_process_folder; print(make_process_folder())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).parent == tmp_path
    assert not list(tmp_path.iterdir())
