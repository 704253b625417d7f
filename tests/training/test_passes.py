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


def test_what_keeps_no_state_refuses_one():
    assert Stateless().state_dict() == {}
    Stateless().load_state_dict({})
    with pytest.raises(ValueError, match=r"Stateless keeps no state, got \['x'\]"):
        Stateless().load_state_dict({"x": torch.zeros(1)})
