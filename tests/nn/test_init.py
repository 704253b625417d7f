import torch
from torch import nn

from wam.nn.init import build_empty, initialise_
from wam.nn.mlp import MLP


def network(*, extra: bool) -> nn.Module:
    parts = {"first": nn.Linear(6, 5), "cell": nn.GRUCell(5, 4), "norm": nn.LayerNorm(4)}
    if extra:
        parts = {"head": MLP(4, [3], 2), **parts}
    return nn.ModuleDict(parts)


def test_weights_depend_on_their_name_and_the_seed_only():
    small, large = network(extra=False), build_empty(lambda: network(extra=True))
    initialise_(small, 7)
    initialise_(large, 7)
    for name, value in small.named_parameters():
        assert torch.equal(value, large.get_parameter(name)), name
    initialise_(small, 8)
    assert not torch.equal(small["first"].weight, large["first"].weight)


def test_building_and_filling_draw_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    initialise_(build_empty(lambda: network(extra=True)), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_published_kinds_of_weights():
    net = network(extra=False)
    initialise_(net, 0)
    limit = (6 / (6 + 5)) ** 0.5
    assert 0.5 * limit < net["first"].weight.abs().max() <= limit
    for gate in net["cell"].weight_hh.T[None].matmul(net["cell"].weight_hh[None]):
        torch.testing.assert_close(gate, torch.eye(4), atol=1e-5, rtol=0)
    assert (net["first"].bias == 0).all()
    assert (net["norm"].weight == 1).all()
