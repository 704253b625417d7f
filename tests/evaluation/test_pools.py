import threading

import pytest

from wam.evaluation.pools import borrowed_pool, close_kept_pools
from wam.sim.config import SimConfig


@pytest.fixture(autouse=True)
def _clean():
    yield
    close_kept_pools()


def test_a_pool_is_lent_again_for_the_same_configuration():
    with borrowed_pool(SimConfig(), workers=0) as first:
        pass
    with borrowed_pool(SimConfig(layout="fixed"), workers=0) as other:
        assert other is not first
    with borrowed_pool(SimConfig(), workers=0) as again:
        assert again is first


def test_two_borrowers_never_hold_the_same_pool():
    held, meet = {}, threading.Barrier(2)

    def borrow(name):
        with borrowed_pool(SimConfig(), workers=0) as pool:
            held[name] = pool
            meet.wait()

    threads = [threading.Thread(target=borrow, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held["a"] is not held["b"]


def test_a_pool_comes_back_after_an_error_of_its_borrower():
    with pytest.raises(KeyError), borrowed_pool(SimConfig(), workers=0) as first:
        raise KeyError
    with borrowed_pool(SimConfig(), workers=0) as again:
        assert again is first


def test_a_closed_pool_is_replaced():
    with borrowed_pool(SimConfig(), workers=0) as first:
        first.close()
    with borrowed_pool(SimConfig(), workers=0) as again:
        assert again is not first
        assert not again.closed


def test_closing_ends_what_nobody_holds():
    with borrowed_pool(SimConfig(), workers=0) as first:
        pass
    close_kept_pools()
    assert first.closed
