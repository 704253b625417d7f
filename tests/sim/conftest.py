"""CALVIN's assets and the official package, where the user names them."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks' constructed moments serve tests too


@pytest.fixture(scope="session")
def calvin_assets() -> str:
    """CALVIN's data folder."""
    folder = os.environ.get("WAM_CALVIN_ASSETS")
    if not folder:
        pytest.skip("set WAM_CALVIN_ASSETS to CALVIN's data folder")
    return folder


@pytest.fixture(scope="session")
def calvin_env_folder() -> str:
    """A checkout of the official package whose dependencies are installed."""
    folder = os.environ.get("WAM_CALVIN_ENV")
    if not folder:
        pytest.skip("set WAM_CALVIN_ENV to a checkout of calvin_env (docs/simulator.md)")
    return folder
