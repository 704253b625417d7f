import pytest
import torch

from wam.nn.normalizer import MinMaxNormalizer


@pytest.fixture
def normalizer():
    module = MinMaxNormalizer(3)
    module.set_bounds_([0.0, -2.0, 5.0], [1.0, 2.0, 5.0])
    return module


def test_bounds_go_to_zero_and_one_and_a_constant_to_zero(normalizer):
    torch.testing.assert_close(normalizer(torch.tensor([0.0, -2.0, 5.0])), torch.zeros(3))
    torch.testing.assert_close(normalizer(torch.tensor([1.0, 2.0, 5.0])), torch.tensor([1.0, 1.0, 0.0]))


def test_values_outside_the_bounds_are_not_clipped(normalizer):
    raw = torch.tensor([[3.0, -7.0, 5.5]])
    torch.testing.assert_close(normalizer(raw), torch.tensor([[3.0, -1.25, 0.5]]))


def test_statistics_travel_with_the_weights(normalizer):
    other = MinMaxNormalizer(3)
    other.load_state_dict(normalizer.state_dict())
    assert torch.equal(other(torch.ones(3)), normalizer(torch.ones(3)))


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([0.0], [1.0], r"shape \(1,\), want \(3,\)"),
        ([0.0, 0.0, float("nan")], [1.0] * 3, "not finite"),
        ([2.0] * 3, [1.0] * 3, "above maximum"),
    ],
)
def test_bad_statistics_are_named(low, high, message):
    with pytest.raises(ValueError, match=message):
        MinMaxNormalizer(3).set_bounds_(low, high)
