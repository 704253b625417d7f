"""Latent overshooting: the prior is trained several steps ahead, which is how imagination uses it.

The published loss asks of the prior one step from a state that has just seen a frame. Imagination takes
dozens, each from the last imagined one::

    posterior:  q[0]        q[1]        q[2]        q[3]
                 |           ^           ^           ^       KL(q[t] || p[t]), q[1] and on as targets
    prior:      z[0] -a[0]-> p[1] -a[1]-> p[2] -a[2]-> p[3]

The prior is trained, and with it the state that the chain begins with; later posteriors are not.
After Hafner et al. 2019 (PlaNet, section 4), with one chain from the first frame of each window. Not part of
the published models.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wam.nn.distributions import categorical_kl, sample_one_hot
from wam.world_model.rssm import RSSM, Observed


def overshooting_loss(
    rssm: RSSM,
    observed: Observed,
    prev_action: Float[Tensor, "B T A"],
    is_first: Bool[Tensor, "B T"],
    noise: Float[Tensor, "B T V C"],
) -> Float[Tensor, ""]:
    """KL from the posterior to a prior that has seen the first frame of its window only.

    Args:
        rssm: Rolls the prior.
        observed: The windows, filtered.
        prev_action: That led to each frame.
        is_first: Where the state was dropped; from there on a window counts nothing.
        noise: Gumbel noise for the prior's samples; that of the first frame is not used.

    Returns:
        Nats per frame, mean over the ``B x (T - 1)`` frames after the first ones; 0 if there are none.
    """
    streams, steps = is_first.shape
    target = observed.posterior_logits.detach()
    state = rssm.state_from_feat(observed.feat[:, 0])
    counts = torch.ones(streams, device=is_first.device)
    total = torch.zeros((), device=is_first.device)
    with torch.autocast(is_first.device.type, enabled=False):
        for step in range(1, steps):
            deter = rssm.deter_step(state, prev_action[:, step])
            state = rssm.moved(state, prev_action[:, step])
            logits = rssm.prior_logits(deter, state.carried)
            counts = counts * ~is_first[:, step]
            total = total + (counts * categorical_kl(target[:, step], logits)).sum()
            state = state._replace(deter=deter, stoch=sample_one_hot(logits, noise[:, step]))
    return total / max(1, streams * (steps - 1))
