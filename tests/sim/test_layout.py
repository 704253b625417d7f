"""Layouts: ranges, arrays, no overlaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wam.sim.layout import FIXED_LAYOUT, LAYOUT_FIELDS, LAYOUT_RANGES, MEAN_LAYOUT, Layout, sample_layout


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_drawn_layouts_stay_in_range_and_never_overlap(seed):
    layout = sample_layout(np.random.default_rng(seed))
    assert not layout.has_overlap()
    for name, allowed in LAYOUT_RANGES.items():
        assert allowed.low <= getattr(layout, name) <= allowed.high


def test_every_field_has_a_range_with_a_reason_and_varies():
    assert tuple(LAYOUT_RANGES) == LAYOUT_FIELDS
    assert all(r.low < r.high and len(r.reason) > 10 for r in LAYOUT_RANGES.values())


@pytest.mark.parametrize("layout", [FIXED_LAYOUT, MEAN_LAYOUT])
def test_named_layouts_do_not_overlap(layout):
    assert not layout.has_overlap()


def test_overlap_is_noticed():
    values = {name: getattr(MEAN_LAYOUT, name) for name in LAYOUT_FIELDS}
    assert Layout(**{**values, "switch_x": 0.0}).has_overlap()


def test_array_round_trip():
    layout = sample_layout(np.random.default_rng(0))
    assert Layout.from_array(layout.to_array()) == layout


@pytest.mark.parametrize("values", [np.zeros(3), np.full(len(LAYOUT_FIELDS), np.nan)])
def test_wrong_arrays_are_refused(values):
    with pytest.raises(ValueError, match="finite numbers"):
        Layout.from_array(values)
