import torch
from torch import nn

from wam.nn.gru import gru_backward, gru_forward
from wam.seeding import torch_generator


def test_forward_and_backward_equal_autograd_through_the_cell():
    generator = torch_generator(0)
    cell = nn.GRUCell(3, 4)
    x, h, grad = (torch.randn(5, n, generator=generator) for n in (3, 4, 4))
    h.requires_grad_(True)
    gate_inputs = nn.functional.linear(x, cell.weight_ih, cell.bias_ih).detach().requires_grad_(True)
    recurrent = nn.functional.linear(h, cell.weight_hh, cell.bias_hh)
    recurrent.retain_grad()
    after, gates = gru_forward(gate_inputs, recurrent, h)
    torch.testing.assert_close(after, cell(x, h))
    after.backward(grad)

    d_inputs, d_recurrent = torch.empty(5, 12), torch.empty(5, 12)
    with torch.no_grad():
        direct = gru_backward(grad, h, gates, d_inputs, d_recurrent)
    torch.testing.assert_close(d_inputs, gate_inputs.grad)
    torch.testing.assert_close(d_recurrent, recurrent.grad)
    torch.testing.assert_close(direct + d_recurrent @ cell.weight_hh, h.grad)
