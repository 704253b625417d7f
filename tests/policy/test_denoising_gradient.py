import pytest
import torch

from wam.policy.config import DiffusionConfig
from wam.policy.diffusion import DiffusionPolicy


@pytest.mark.parametrize("predicts", ["noise", "clean"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_loss_and_gradient_are_those_of_autograd(blocks, predicts):
    torch.manual_seed(0)
    page = DiffusionConfig(hidden=32, residual_blocks=blocks, predicts=predicts, standardize_condition=True)
    policy = DiffusionPolicy(9, page)
    cond = torch.randn(40, 9) * 3 + 1
    policy.fit_condition(cond)
    action = torch.rand(40, 4, 7) * 2 - 1
    plain = policy.loss(cond, action, torch.Generator().manual_seed(1))
    plain.loss.backward()
    expected = {name: p.grad.clone() for name, p in policy.named_parameters()}
    policy.zero_grad(set_to_none=True)
    quick = policy.loss_with_gradient(cond, action, torch.Generator().manual_seed(1))
    torch.testing.assert_close(quick.loss, plain.loss.detach(), rtol=1e-6, atol=0)
    assert quick.metrics.keys() == plain.metrics.keys()
    for name, parameter in policy.named_parameters():
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-5, atol=1e-5 * scale, msg=name)
