import pytest
import torch
from torch.nn import functional

from wam.nn.mish import BLOCK, Mish, mish_and_slope


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, BLOCK - 1), (3, BLOCK)])
def test_values_and_gradients_are_those_of_the_definition(shape):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(shape, generator=generator) * 5).requires_grad_(True)
    grad = torch.randn(shape, generator=generator)
    wide = x.detach().double().requires_grad_(True)
    y, expected = Mish()(x), functional.mish(wide)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=2e-6)
    y.backward(grad)
    expected.backward(grad.double())
    torch.testing.assert_close(x.grad.double(), wide.grad, rtol=1e-5, atol=2e-6)


def test_the_ends_of_the_line():
    x = torch.tensor([-200.0, -80.0, -20.0, 0.0, 19.9, 20.1, 50.0, 1e6], requires_grad=True)
    y = Mish()(x)
    torch.testing.assert_close(y, functional.mish(x), rtol=1e-6, atol=1e-6)
    y.sum().backward()
    assert x.grad.isfinite().all()
    torch.testing.assert_close(x.grad[-3:], torch.ones(3))
    assert Mish()(torch.tensor(float("nan"))).isnan()


def test_inputs_that_are_not_contiguous_and_are_not_changed():
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)).t().requires_grad_(True)
    before = x.detach().clone()
    y = Mish()(x)
    y.sum().backward()
    assert torch.equal(x, before)
    torch.testing.assert_close(y, functional.mish(x))


def test_other_precisions_take_the_definition():
    x = torch.randn(9, dtype=torch.float64)
    assert torch.equal(Mish()(x), functional.mish(x))


def test_the_slope_is_the_derivative_and_the_input_is_left_alone():
    x = torch.cat([torch.linspace(-30, 30, 241), torch.tensor([-200.0, 1e6])])
    before, wide = x.clone(), x.double().requires_grad_(True)
    y, slope = mish_and_slope(x)
    expected = functional.mish(wide)
    expected.sum().backward()
    torch.testing.assert_close(y.double(), expected.detach(), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(slope.double(), wide.grad, rtol=1e-5, atol=2e-6)
    assert torch.equal(x, before)
