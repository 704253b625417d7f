import pytest
import torch
from torch import nn

from wam.nn.mlp import MLP


@pytest.mark.parametrize(("hidden", "linears"), [([], 1), ([8, 4], 3)])
def test_hidden_widths_make_one_more_linear_layer(hidden, linears):
    net = MLP(5, hidden, 2)
    assert sum(isinstance(layer, nn.Linear) for layer in net) == linears
    assert net(torch.zeros(3, 4, 5)).shape == (3, 4, 2)


def test_the_input_is_not_changed():
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    MLP(5, [4], 2)(x)
    assert torch.equal(x, before)
