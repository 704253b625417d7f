"""Minibatches over decisions x denoising steps, and scoring them in one pass."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wam.policy.chain import DenoisingChain, chain_steps, gaussian_log_prob
from wam.policy.diffusion import DiffusionPolicy


@dataclass(frozen=True)
class Minibatch:
    """Transitions of denoising chains.

    Attributes:
        decision: ``(R,)``, decision of each transition.
        index: ``(R,)``, position i of each transition in its chain.
        distinct: ``(U,)``, decisions that occur.
        place: ``(R,)``, place of each transition's decision in ``distinct``.
        whole: Every transition of every chain, in order: broadcasting then replaces gathering.
    """

    decision: Tensor
    index: Tensor
    distinct: Tensor
    place: Tensor
    whole: bool

    def to(self, device: torch.device | str) -> "Minibatch":
        """The same transitions, their numbers on another device."""
        decision, index, distinct, place = (
            x.to(device) for x in (self.decision, self.index, self.distinct, self.place)
        )
        return Minibatch(decision=decision, index=index, distinct=distinct, place=place, whole=self.whole)

    @property
    def share(self) -> Tensor:
        """Share of the transitions that each distinct decision has, ``(U,)``; sums to 1."""
        return torch.bincount(self.place, minlength=len(self.distinct)) / len(self.place)


class Scores(NamedTuple):
    """Transitions under a policy.

    Attributes:
        mean: ``(R, Hs, A)``, mean of each transition.
        log_prob: ``(R, Hs, A)``, log-probability of each element.
    """

    mean: Tensor
    log_prob: Tensor


def minibatches(decisions: int, steps: int, size: int, generator: torch.Generator) -> list[Minibatch]:
    """Shuffle all ``decisions x steps`` transitions into minibatches of at least ``size``, none left out.

    With fewer than ``2 size`` transitions there is one minibatch of all, in order.

    Args:
        decisions: Number of chains.
        steps: n, transitions in each.
        size: Smallest number of transitions in a minibatch.
        generator: Shuffles.
    """
    total = decisions * steps
    count = max(1, total // size)
    if count == 1:
        order = torch.arange(total)
    else:
        order = torch.randperm(total, generator=generator, device=generator.device).cpu()
    return [minibatch_of_rows(part, steps, whole=count == 1) for part in order.tensor_split(count)]


def minibatch_of_rows(rows: Tensor, steps: int, *, whole: bool = False) -> Minibatch:
    """The transitions of some rows of a table of all: ``row = decision x steps + index``.

    Args:
        rows: ``(R,)``.
        steps: n, transitions in each chain.
        whole: The rows are all there are, in order.
    """
    decision = rows // steps
    distinct, place = torch.unique(decision, return_inverse=True)
    return Minibatch(decision=decision, index=rows % steps, distinct=distinct, place=place, whole=whole)


def score(
    policy: DiffusionPolicy,
    projected: Float[Tensor, "U hidden"],
    chain: DenoisingChain,
    batch: Minibatch,
    min_std: float,
) -> Scores:
    """Means and log-probabilities of a minibatch of transitions, differentiable in the policy.

    The condition enters once per distinct decision.

    Args:
        policy: Policy to score with.
        projected: ``policy.project`` of the distinct decisions' conditions.
        chain: Chains of all decisions.
        batch: Transitions to score.
        min_std: Floor of the deviation.
    """
    steps = chain_steps(chain.steps, projected.device)
    std = policy.schedule.floored_std(min_std)
    if batch.whole:
        noisy, following = chain.actions[:, :-1], chain.actions[:, 1:]
        mean = policy.transition_mean(noisy, steps[None], projected[:, None])
        log_prob = gaussian_log_prob(following, mean, std[steps][None])
        return Scores(mean.flatten(0, 1), log_prob.flatten(0, 1))
    k = steps[batch.index]
    noisy, following = (chain.actions[batch.decision, batch.index + i] for i in (0, 1))
    mean = policy.transition_mean(noisy, k, projected.index_select(0, batch.place))
    return Scores(mean, gaussian_log_prob(following, mean, std[k]))
