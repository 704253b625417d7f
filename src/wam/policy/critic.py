"""The value network of policy fine-tuning."""

from jaxtyping import Float
from torch import Tensor, nn

from wam.nn.residual_mlp import ResidualMLP
from wam.nn.standardizer import Standardizer


class Critic(nn.Module):
    """Discounted return to come, from the condition of a decision; 656,385 parameters at 2048 and 256.

    Args:
        cond_dim: C, width of the condition.
        hidden: Width of the trunk; 256 published.
        standardizer: Statistics of the condition, copied from the policy; None uses the condition as it is.

    Source:
        docs/published.md, PPO.
    """

    def __init__(self, cond_dim: int, hidden: int, standardizer: Standardizer | None = None) -> None:
        super().__init__()
        self.standardizer = Standardizer(cond_dim)
        if standardizer is not None:
            self.standardizer.load_state_dict(standardizer.state_dict())
        self.trunk = ResidualMLP(changing_dim=0, static_dim=cond_dim, hidden=hidden, output_dim=1)

    def forward(self, cond: Float[Tensor, "*B C"]) -> Float[Tensor, "*B"]:
        """Value of each condition."""
        value: Tensor = self.trunk(self.standardizer(cond))
        return value.squeeze(-1)
