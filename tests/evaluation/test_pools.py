import pytest

from wam.evaluation.pools import close_kept_pools, kept_pool
from wam.sim.config import SimConfig


@pytest.fixture(autouse=True)
def _clean():
    yield
    close_kept_pools()


def test_a_pool_is_made_once_per_configuration():
    first = kept_pool(SimConfig(), workers=0)
    assert kept_pool(SimConfig(), workers=0) is first
    assert kept_pool(SimConfig(layout="fixed"), workers=0) is not first


def test_a_closed_pool_is_replaced():
    first = kept_pool(SimConfig(), workers=0)
    first.close()
    assert kept_pool(SimConfig(), workers=0) is not first


def test_closing_all_ends_them():
    first = kept_pool(SimConfig(), workers=0)
    close_kept_pools()
    assert first.closed
