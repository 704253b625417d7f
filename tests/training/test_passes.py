import numpy as np
import pytest
import torch

from wam.seeding import numpy_generator
from wam.training.passes import ShuffledPasses, Stateless


def test_every_pass_gives_every_row_once_in_another_order():
    rows = np.arange(100, 123)
    passes = ShuffledPasses(rows, 10, 4, "order")
    assert passes.steps == 3
    first, second = ([passes.rows(step) for step in steps] for steps in (range(3), range(3, 6)))
    assert [len(batch) for batch in first] == [10, 10, 3]
    for batches in (first, second):
        assert sorted(np.concatenate(batches)) == rows.tolist()
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()


def test_a_batch_follows_from_seed_key_and_step_alone():
    rows, steps = np.arange(40), [5, 0, 9, 5, 1]
    one, other = (ShuffledPasses(rows, 7, 1, "order", "0") for _ in range(2))
    for step in range(12):
        one.rows(step)
    for step in steps:
        np.testing.assert_array_equal(one.rows(step), other.rows(step))
    by_hand = numpy_generator(1, "order", "0", 1).permutation(40)
    np.testing.assert_array_equal(one.rows(6), by_hand[:7])
    for changed in (ShuffledPasses(rows, 7, 2, "order", "0"), ShuffledPasses(rows, 7, 1, "order", "1")):
        assert changed.rows(0).tolist() != one.rows(0).tolist()


@pytest.mark.parametrize(("count", "batch"), [(17, 16), (10, 32), (40, 32), (5, 5)])
def test_whole_batches_run_on_over_the_ends_of_passes(count: int, batch: int) -> None:
    rows = np.arange(count)
    passes = ShuffledPasses(rows, batch, 4, "order", whole=True)
    batches = [passes.rows(step) for step in range(count)]
    assert {len(one) for one in batches} == {batch}
    in_turn = np.concatenate(batches).reshape(batch, count)  # as many passes as a batch has rows
    for number, one in enumerate(in_turn):
        np.testing.assert_array_equal(one, numpy_generator(4, "order", number).permutation(rows))
    np.testing.assert_array_equal(passes.rows(1), batches[1])


def test_what_keeps_no_state_refuses_one():
    assert Stateless().state_dict() == {}
    Stateless().load_state_dict({})
    with pytest.raises(ValueError, match=r"Stateless keeps no state, got \['x'\]"):
        Stateless().load_state_dict({"x": torch.zeros(1)})
