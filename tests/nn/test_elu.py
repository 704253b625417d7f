import torch
from torch.nn import functional

from wam.nn.elu import elu_, elu_backward


def test_values_and_gradients_are_those_of_elu():
    x = torch.linspace(-30, 30, 1001).requires_grad_(True)
    want = functional.elu(x)
    got = elu_(x.detach().clone())
    torch.testing.assert_close(got, want.detach(), atol=1e-7, rtol=1e-6)
    grad = torch.linspace(-1, 1, 1001)
    torch.testing.assert_close(elu_backward(grad, got), torch.autograd.grad(want, x, grad)[0])


def test_it_works_in_place():
    x = torch.tensor([-1.0, 2.0])
    assert elu_(x) is x
