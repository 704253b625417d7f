r"""Recurrent state-space model: filter real frames (``observe``), roll the prior (``imagine``).

    prev_action[t]  h[t-1] z[t-1]      embed[t]
           \           |                 |
            `--- GRU ---+--> h[t] ------- + --> posterior q(z | h, e) --> z[t]
                              `--------------> prior     p(z | h)

Equations and layer shapes: docs/published.md, world model. Gumbel noise is drawn outside.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from wam.contracts import ACTION_DIM
from wam.nn.distributions import sample_one_hot
from wam.world_model.config import LAYER_NORM_EPS, RSSMConfig
from wam.world_model.scan import ScanInputs, ScanWeights, posterior_scan
from wam.world_model.state import RSSMState


class Observed(NamedTuple):
    """Result of filtering ``T`` frames.

    Attributes:
        feat: ``(B, T, F)``.
        posterior_logits: ``(B, T, stoch_dim, stoch_classes)``, before sampling z.
        prior_logits: Same shape, without having seen the frame.
        state: After the last frame.
    """

    feat: Tensor
    posterior_logits: Tensor
    prior_logits: Tensor
    state: RSSMState


class RSSM(nn.Module):
    """The recurrent model.

    Args:
        config: Sizes.
        embed_dim: Width E of the embeddings.
    """

    def __init__(self, config: RSSMConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.initial_deter = nn.Parameter(torch.zeros(config.deter))
        self.initial_stoch = nn.Parameter(torch.zeros(config.stoch))
        self.stoch_in = nn.Linear(config.stoch, hidden)
        self.action_in = nn.Linear(ACTION_DIM, hidden, bias=False)
        self.input_norm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPS)
        self.cell = nn.GRUCell(hidden, config.deter)
        self.prior_in = nn.Linear(config.deter, hidden)
        self.prior_norm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPS)
        self.prior_out = nn.Linear(hidden, config.stoch)
        self.posterior_deter_in = nn.Linear(config.deter, hidden)
        self.posterior_embed_in = nn.Linear(embed_dim, hidden, bias=False)
        self.posterior_norm = nn.LayerNorm(hidden, eps=LAYER_NORM_EPS)
        self.posterior_out = nn.Linear(hidden, config.stoch)

    def initial_state(self, batch: int) -> RSSMState:
        """The state before any frame.

        The published model has it as parameters that start at zero and, since episodes start by zeroing
        the state, stay there; they are kept so that checkpoints and parameter counts agree.
        """
        size = self.config
        return RSSMState(
            self.initial_deter.expand(batch, -1),
            self.initial_stoch.view(size.stoch_dim, size.stoch_classes).expand(batch, -1, -1),
        )

    def _logits(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.config.stoch_dim, self.config.stoch_classes)

    def prior_logits(self, deter: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch V C"]:
        """Logits of p(z | h)."""
        hidden = functional.elu(self.prior_norm(self.prior_in(deter)))
        return self._logits(self.prior_out(hidden))

    def posterior_logits(
        self, deter: Float[Tensor, "*batch D"], embed: Float[Tensor, "*batch E"]
    ) -> Float[Tensor, "*batch V C"]:
        """Logits of q(z | h, e)."""
        hidden = self.posterior_deter_in(deter) + self.posterior_embed_in(embed)
        return self._logits(self.posterior_out(functional.elu(self.posterior_norm(hidden))))

    def deter_step(self, state: RSSMState, action: Float[Tensor, "B A"]) -> Float[Tensor, "B D"]:
        """The next GRU state."""
        x = self.stoch_in(state.stoch.flatten(start_dim=1)) + self.action_in(action)
        deter: Tensor = self.cell(functional.elu(self.input_norm(x)), state.deter)
        return deter

    def imagine_step(
        self, state: RSSMState, action: Float[Tensor, "B A"], noise: Float[Tensor, "B V C"]
    ) -> RSSMState:
        """One step of the prior: the state after ``action``, without seeing the frame."""
        deter = self.deter_step(state, action)
        return RSSMState(deter, sample_one_hot(self.prior_logits(deter), noise))

    def observe_step(
        self,
        embed: Float[Tensor, "B E"],
        prev_action: Float[Tensor, "B A"],
        is_first: Bool[Tensor, " B"],
        state: RSSMState,
        noise: Float[Tensor, "B V C"],
    ) -> tuple[RSSMState, Float[Tensor, "B V C"]]:
        """One step of the posterior: take in a frame.

        Returns:
            The state after the frame, and the posterior's logits.
        """
        deter = self.deter_step(state.masked(~is_first), prev_action)
        logits = self.posterior_logits(deter, embed)
        return RSSMState(deter, sample_one_hot(logits, noise)), logits

    def observe(
        self,
        embed: Float[Tensor, "B T E"],
        prev_action: Float[Tensor, "B T A"],
        is_first: Bool[Tensor, "B T"],
        state: RSSMState,
        noise: Float[Tensor, "B T V C"],
    ) -> Observed:
        """Filter ``T`` frames: ``T`` times ``observe_step``, with all that is possible out of the loop.

        Args:
            embed: Of the frames.
            prev_action: That led to the frames.
            is_first: Where the state is dropped before the frame.
            state: Before the first frame.
            noise: Gumbel noise for the posterior samples.

        It computes in the precision of its weights, under autocast as well: states must not drift.
        """
        with torch.autocast(embed.device.type, enabled=False):
            return self._observe(embed.to(self.stoch_in.weight.dtype), prev_action, is_first, state, noise)

    def _observe(
        self, embed: Tensor, prev_action: Tensor, is_first: Tensor, state: RSSMState, noise: Tensor
    ) -> Observed:
        inputs = ScanInputs(
            action_part=_time_first(self.action_in(prev_action) + self.stoch_in.bias),
            embed_part=_time_first(self.posterior_embed_in(embed) + self.posterior_deter_in.bias),
            deter=state.deter,
            stoch=state.stoch.flatten(start_dim=1),
            keep=_time_first((~is_first).to(embed.dtype)),
            noise=noise.transpose(0, 1),
        )
        deter, stoch, logits = (x.transpose(0, 1) for x in posterior_scan(inputs, self._scan_weights()))
        last = RSSMState(deter[:, -1], self._logits(stoch[:, -1]))
        feat = torch.cat([deter, stoch], dim=-1)
        return Observed(feat, self._logits(logits), self.prior_logits(deter), last)

    def _scan_weights(self) -> ScanWeights:
        return ScanWeights(
            self.stoch_in.weight,
            self.input_norm.weight,
            self.input_norm.bias,
            self.cell.weight_ih,
            self.cell.weight_hh,
            self.cell.bias_ih,
            self.cell.bias_hh,
            self.posterior_deter_in.weight,
            self.posterior_norm.weight,
            self.posterior_norm.bias,
            self.posterior_out.weight,
            self.posterior_out.bias,
        )


def _time_first(x: Tensor) -> Tensor:
    return x.transpose(0, 1).contiguous()
