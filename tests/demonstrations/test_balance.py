import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wam.demonstrations.balance import balanced_rows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=80), st.integers(0, 12))
def test_all_positives_and_a_few_negatives_of_every_episode(rows, negatives):
    episode = np.array([e for e, _ in rows])
    label = np.array([y for _, y in rows])
    kept = balanced_rows(episode, label, rng=np.random.default_rng(0), negatives=negatives)
    assert len(np.unique(kept)) == len(kept)
    for number in np.unique(episode):
        of_episode = kept[episode[kept] == number]
        available = ((episode == number) & ~label).sum()
        assert label[of_episode].sum() == label[episode == number].sum()
        assert (~label[of_episode]).sum() == min(negatives, available)


def test_negatives_are_drawn_where_they_lie():
    """The published index error (B5) would take rows 0 to 3, which are successes here."""
    label = np.array([True] * 4 + [False] * 20)
    kept = balanced_rows(np.zeros(24, int), label, rng=np.random.default_rng(0), negatives=6)
    assert (kept[4:] >= 4).all()
    assert len(kept) == 10


def test_every_negative_is_as_likely():
    label, episode = np.zeros(8, bool), np.zeros(8, int)
    rng = np.random.default_rng(0)
    counts = np.bincount(
        np.concatenate([balanced_rows(episode, label, rng=rng, negatives=2) for _ in range(2000)]),
        minlength=8,
    )
    assert counts == pytest.approx(np.full(8, 500), abs=80)


def test_the_same_seed_gives_the_same_rows():
    episode, label = np.repeat(np.arange(3), 20), np.arange(60) % 7 == 0
    first = balanced_rows(episode, label, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(first, balanced_rows(episode, label, rng=np.random.default_rng(4)))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one episode and label per row"):
        balanced_rows(np.zeros(3, int), np.zeros(4, bool), rng=np.random.default_rng(0))
