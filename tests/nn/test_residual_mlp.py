import pytest
import torch
from torch import nn

from wam.nn.linear_init import fan_in_uniform_
from wam.nn.residual_mlp import ResidualMLP
from wam.nn.standardizer import Standardizer


def joined(net, changing, projected):
    """What a network of two inputs gives, as a denoiser computes it."""
    return net.after_input(nn.functional.linear(changing, net.input.changing) + projected)


def test_split_first_layer_equals_concatenated_input():
    net = ResidualMLP(changing_dim=3, static_dim=5, hidden=8, output_dim=2, blocks=2)
    changing, static = torch.randn(7, 3), torch.randn(7, 5)
    weight = torch.cat((net.input.changing, net.input.static), -1)
    x = torch.cat((changing, static), -1) @ weight.T + net.input.bias
    for block in net.blocks:
        x = x + block.second(nn.functional.mish(block.first(nn.functional.mish(x))))
    expected = net.output(x)
    torch.testing.assert_close(joined(net, changing, net.project_static(static)), expected)


def test_projection_broadcasts_over_changing_parts():
    net = ResidualMLP(changing_dim=3, static_dim=5, hidden=8, output_dim=2)
    changing, static = torch.randn(7, 4, 3), torch.randn(7, 5)
    together = joined(net, changing, net.project_static(static)[:, None])
    apart = torch.stack([joined(net, changing[:, i], net.project_static(static)) for i in range(4)], 1)
    torch.testing.assert_close(together, apart)


def test_static_forward_refuses_a_network_with_a_changing_part():
    net = ResidualMLP(changing_dim=3, static_dim=5, hidden=8, output_dim=2)
    with pytest.raises(ValueError, match="width 3"):
        net(torch.zeros(1, 5))


def test_standardizer_is_identity_until_fitted_then_unit():
    norm = Standardizer(4, std_floor=0.01)
    x = torch.randn(500, 4) * torch.tensor([1.0, 5.0, 0.3, 2.0]) + 3
    assert torch.equal(norm(x), x)
    norm.fit(x)
    torch.testing.assert_close(norm(x).mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(norm(x).std(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_standardizer_floors_constant_features():
    norm = Standardizer(1, std_floor=0.1)
    norm.fit(torch.full((10, 1), 2.0))
    assert norm(torch.full((1, 1), 2.05)).item() == pytest.approx(0.5)


def test_parts_of_a_row_count_alike_and_all_together_as_much_as_before():
    norm = Standardizer(9, std_floor=0.01)
    x = torch.randn(4000, 9) * torch.tensor([1.0, 5.0, 0.3, 2.0, 1.0, 7.0, 3.0, 1.0, 4.0]) + 3
    norm.fit(x, (6, 1, 2))
    variance = norm(x).var(0, correction=0)
    torch.testing.assert_close(
        torch.stack([part.sum() for part in variance.split((6, 1, 2))]), torch.full((3,), 3.0)
    )
    torch.testing.assert_close(variance[:6], torch.full((6,), 0.5))
    torch.testing.assert_close(norm(x).mean(0), torch.zeros(9), atol=1e-4, rtol=0)
    numbers = Standardizer(9, std_floor=0.01)
    numbers.fit(x)
    norm.fit(x, (1,) * 9)
    assert torch.equal(norm(x), numbers(x)), "nine parts of one number are nine numbers"


def test_parts_that_are_not_the_row_are_refused():
    with pytest.raises(ValueError, match=r"parts \(6, 2\) are 8 wide, rows 9"):
        Standardizer(9).fit(torch.randn(4, 9), (6, 2))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_standardizer_refuses_what_is_not_finite_wherever_it_is(value):
    rows = torch.randn(300, 40)
    rows[211, 17] = value
    with pytest.raises(ValueError, match="cannot standardise"):
        Standardizer(40).fit(rows)


def test_standardizer_refuses_nothing_at_all():
    with pytest.raises(ValueError, match="cannot standardise"):
        Standardizer(2).fit(torch.zeros(0, 2))


def test_seeded_init_depends_on_seed_and_name_only():
    first, second, other = (nn.Sequential(nn.Linear(9, 3), nn.Linear(3, 3)) for _ in range(3))
    fan_in_uniform_(first, 1)
    fan_in_uniform_(second, 1)
    fan_in_uniform_(other, 2)
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert first[0].weight.abs().max() <= 1 / 3


def test_seeded_init_of_a_split_layer_uses_the_whole_fan_in():
    net = ResidualMLP(changing_dim=3, static_dim=97, hidden=50, output_dim=2)
    fan_in_uniform_(net, 0)
    for part in (net.input.changing, net.input.static, net.input.bias):
        assert 0.08 < part.abs().max() <= 0.1
