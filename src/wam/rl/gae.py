"""Generalised advantage estimation that tells a solved episode from one cut short."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def gae(
    reward: Float[Tensor, "B T"],
    value: Float[Tensor, "B T"],
    next_value: Float[Tensor, "B T"],
    terminated: Bool[Tensor, "B T"],
    truncated: Bool[Tensor, "B T"],
    *,
    gamma: float,
    gae_lambda: float,
    bootstrap: Literal["final", "published"] = "final",
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    """Advantages and value targets of recorded decisions.

    ::

        delta[t] = reward[t] + gamma * next_value[t] * (1 - terminated[t]) - value[t]
        advantage[t] = delta[t] + gamma * lambda * (episode goes on after t) * advantage[t + 1]

    A terminated episode has nothing after it. A truncated one would have gone on: it is bootstrapped with the
    value of its own final features, and no advantage flows back from the episode that follows in the record.

    Args:
        reward: Reward of each decision.
        value: Value of the features each decision was made on.
        next_value: Value of the features the decision led to, in its own episode.
        terminated: The decision solved the task.
        truncated: The decision was the last one allowed.
        gamma: Discount per decision.
        gae_lambda: 0 trusts the values, 1 the returns.
        bootstrap: "published" treats a truncation as no end at all: value and advantage flow in from the
            start of the next recorded episode (fault B10). Only the record's last decision uses
            ``next_value``.

    Returns:
        Advantages, and value targets ``advantage + value``.

    Source:
        Schulman et al. 2016, equations 11 and 12; docs/published.md, PPO.
    """
    goes_on = (~terminated).to(reward.dtype)
    carries = goes_on
    following = next_value
    if bootstrap == "final":
        carries = goes_on * (~truncated).to(reward.dtype)
    else:
        following = torch.cat((value[:, 1:], next_value[:, -1:]), 1)
    delta = reward + gamma * following * goes_on - value
    advantage = torch.zeros_like(reward)
    ahead = torch.zeros_like(reward[:, 0])
    for t in range(reward.shape[1] - 1, -1, -1):
        ahead = delta[:, t] + gamma * gae_lambda * carries[:, t] * ahead
        advantage[:, t] = ahead
    return advantage, advantage + value
