r"""Recurrent state-space model: filter real frames (``observe``), roll the prior (``imagine``).

    prev_action[t]  h[t-1] z[t-1]      embed[t]
           \           |                 |
            `--- GRU ---+--> h[t] ------- + --> posterior q(z | h, e) --> z[t]
                              `--------------> prior     p(z | h)

Equations and layer shapes: docs/published.md, world model. Gumbel noise is drawn outside. With
``carries_arm`` the GRU also sees the arm before the action; a frame's arm is the end of its embedding. With
``carries_outset`` it also sees where colours were when the state began; they stand before the arm there. With
``carries_scene`` it also sees the scene before the action, which is read off colours, outset and arm. With
``prior_sees_carried`` the prior also sees arm, scene and outset of the frame itself: p(z | h, arm, scene,
outset). They are measured on frames and moved on in imagination, where z is then drawn for them.
"""

from itertools import accumulate
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from wam.contracts import ACTION_DIM, PROPRIO_DIM
from wam.nn.distributions import sample_one_hot
from wam.nn.products import product_dtype
from wam.world_model.arm import ArmMotion
from wam.world_model.config import LAYER_NORM_EPS, RSSMConfig
from wam.world_model.scan import ScanInputs, ScanWeights, posterior_scan
from wam.world_model.scene import SCENE_DIM, SceneTrack
from wam.world_model.state import Carried, RSSMState, all_of, before_each, begun, begun_each, present


class Observed(NamedTuple):
    """Result of filtering ``T`` frames.

    Attributes:
        feat: ``(B, T, F)``.
        posterior_logits: ``(B, T, stoch_dim, stoch_classes)``, before sampling z.
        prior_logits: Same shape, without having seen the frame, or of it nothing but what is carried.
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
        outset_dim: Width O of the colour moments that are carried; 0 where none are.

    Attributes:
        arm_motion: Moves the arm on in imagination; None where it is not carried.
        scene_track: Reads the scene, and moves it on in imagination; None where it is not carried.
        prior_carried_in: Tells the prior of what is carried; None where it sees h alone.
    """

    def __init__(self, config: RSSMConfig, embed_dim: int, outset_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        self.outset_dim = outset_dim
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
        self.arm_in = nn.Linear(PROPRIO_DIM, hidden, bias=False) if config.carries_arm else None
        self.arm_motion = ArmMotion() if config.carries_arm else None
        self.outset_in = nn.Linear(outset_dim, hidden, bias=False) if outset_dim else None
        self.scene_dim = SCENE_DIM if config.carries_scene else 0
        self.scene_in = nn.Linear(SCENE_DIM, hidden, bias=False) if config.carries_scene else None
        self.scene_track: SceneTrack | None = None
        self.prior_carried_in: nn.Linear | None = None
        if config.carries_scene:
            self.scene_track = SceneTrack(config.scene_hidden, config.painter_hidden, outset_dim)
            if config.prior_sees_carried:
                self.prior_carried_in = nn.Linear(self.scene_track.told_dim, hidden, bias=False)

    def initial_state(self, batch: int) -> RSSMState:
        """The state before any frame.

        The published model has it as parameters that start at zero and, since episodes start by zeroing
        the state, stay there; they are kept so that checkpoints and parameter counts agree.
        """
        deter = self.initial_deter.expand(batch, -1)
        arm = deter.new_zeros(batch, PROPRIO_DIM) if self.config.carries_arm else None
        outset = deter.new_zeros(batch, self.outset_dim) if self.outset_dim else None
        scene = deter.new_zeros(batch, self.scene_dim) if self.scene_dim else None
        return RSSMState(deter, self._logits(self.initial_stoch).expand(batch, -1, -1), arm, outset, scene)

    def state_from_feat(self, feat: Float[Tensor, "*batch F"]) -> RSSMState:
        """Split features back into a state, whose parts then have their leading axes."""
        ends = list(accumulate([self.config.deter, self.config.stoch, self.outset_dim, self.scene_dim]))
        deter, stoch, *carried = feat.tensor_split(ends, dim=-1)
        outset, scene, arm = (x if x.shape[-1] else None for x in carried)
        return RSSMState(deter, self._logits(stoch), arm, outset, scene)

    def _logits(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.config.stoch_dim, self.config.stoch_classes)

    def prior_logits(self, deter: Float[Tensor, "*batch D"], carried: Carried) -> Float[Tensor, "*batch V C"]:
        """Logits of p(z | h), or with ``prior_sees_carried`` of p(z | h, carried).

        Args:
            deter: h.
            carried: What is carried at the same frame: measured there, or moved to it.
        """
        hidden = self.prior_in(deter)
        if self.prior_carried_in is not None:
            arm, outset, scene = all_of(carried)
            hidden = hidden + self.prior_carried_in(self._track().told(scene, outset, arm))
        return self._logits(self.prior_out(functional.elu(self.prior_norm(hidden))))

    def posterior_logits(
        self, deter: Float[Tensor, "*batch D"], embed: Float[Tensor, "*batch E"]
    ) -> Float[Tensor, "*batch V C"]:
        """Logits of q(z | h, e)."""
        hidden = self.posterior_deter_in(deter) + self.posterior_embed_in(embed)
        return self._logits(self.posterior_out(functional.elu(self.posterior_norm(hidden))))

    @torch.no_grad()
    def painted(self, feat: Float[Tensor, "*batch F"]) -> Float[Tensor, "*batch O"]:
        """Colour moments that frames of these features would show, from what is carried; in single precision.

        Raises:
            ValueError: If no scene is carried.
        """
        with torch.autocast(feat.device.type, enabled=False):
            arm, outset, scene = all_of(self.state_from_feat(feat.float()).carried)
            return self._track().paint(scene, outset, arm)

    def _track(self) -> SceneTrack:
        if self.scene_track is None:
            raise ValueError("this world model carries no scene; set world_model.rssm.carries_scene to true")
        return self.scene_track

    def deter_step(self, state: RSSMState, action: Float[Tensor, "B A"]) -> Float[Tensor, "B D"]:
        """The next GRU state."""
        x = self.stoch_in(state.stoch.flatten(start_dim=1)) + self.action_part(action, state.carried)
        deter: Tensor = self.cell(functional.elu(self.input_norm(x)), state.deter)
        return deter

    def action_part(self, action: Float[Tensor, "*B A"], before: Carried) -> Float[Tensor, "*B hidden"]:
        """Share of the GRU's input layer from the action, and from what is carried besides before it.

        Raises:
            ValueError: If something is carried and the state lacks it.
        """
        part: Tensor = self.action_in(action)
        if self.arm_in is not None:
            part = part + self.arm_in(present(before.arm, "arm"))
        if self.outset_in is not None:
            part = part + self.outset_in(present(before.outset, "outset"))
        return part if self.scene_in is None else part + self.scene_in(present(before.scene, "scene"))

    def moved(self, state: RSSMState, action: Float[Tensor, "B A"]) -> RSSMState:
        """The state with arm and scene, where carried, as they are after ``action``: not measured."""
        if self.arm_motion is None:
            return state
        before = present(state.arm, "arm")
        arm = self.arm_motion(before, action)
        if self.scene_track is None:
            return state._replace(arm=arm)
        known = present(state.scene, "scene"), present(state.outset, "outset")
        return state._replace(arm=arm, scene=self.scene_track.move(*known, before, arm, action))

    def imagine_step(
        self, state: RSSMState, action: Float[Tensor, "B A"], noise: Float[Tensor, "B V C"]
    ) -> RSSMState:
        """One step of the prior: the state after ``action``, without seeing the frame."""
        deter, after = self.deter_step(state, action), self.moved(state, action)
        stoch = sample_one_hot(self.prior_logits(deter, after.carried), noise)
        return after._replace(deter=deter, stoch=stoch)

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
        state = state.masked(~is_first)
        deter = self.deter_step(state, prev_action)
        logits = self.posterior_logits(deter, embed)
        outset = begun(self._colors(embed), state.outset) if self.outset_dim else None
        carried = Carried(self._measured(embed), outset, self._read(embed, outset))
        return RSSMState(deter, sample_one_hot(logits, noise), *carried), logits

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

        Under autocast products and the prior are made in its precision, all else in that of the weights.
        """
        embed = embed.to(self.stoch_in.weight.dtype)
        products = product_dtype(self.stoch_in.weight)
        with torch.autocast(embed.device.type, enabled=False):
            return self._observe(embed, prev_action, is_first, state, noise, products=products)

    def _observe(
        self,
        embed: Tensor,
        prev_action: Tensor,
        is_first: Tensor,
        state: RSSMState,
        noise: Tensor,
        *,
        products: torch.dtype,
    ) -> Observed:
        keep = (~is_first).to(embed.dtype)
        outset = begun_each(self._colors(embed), keep, state.outset) if self.outset_dim else None
        carried = Carried(self._measured(embed), outset, self._read(embed, outset))
        each = zip(state.carried, carried, Carried._fields, strict=True)
        before = Carried(*(before_each(first, after, keep, name) for first, after, name in each))
        low = torch.autocast(embed.device.type, products, enabled=products != embed.dtype)
        with low:
            embed_part = self.posterior_embed_in(embed)
        inputs = ScanInputs(
            action_part=_time_first(self.action_part(prev_action, before) + self.stoch_in.bias),
            embed_part=_time_first(embed_part + self.posterior_deter_in.bias),
            deter=state.deter,
            stoch=state.stoch.flatten(start_dim=1),
            keep=_time_first(keep),
            noise=noise.transpose(0, 1),
        )
        scanned = posterior_scan(inputs, self._scan_weights(), products)
        deter, stoch, logits = (x.transpose(0, 1) for x in scanned)
        every = RSSMState(deter, self._logits(stoch), *carried)
        with low:
            prior = self.prior_logits(deter, carried).to(deter.dtype)
        return Observed(every.feat, self._logits(logits), prior, every.map(lambda x: x[:, -1]))

    def _measured(self, embed: Tensor) -> Tensor | None:
        """The arm at frames with these embeddings, of which it is the end; None where it is not carried."""
        return embed[..., -PROPRIO_DIM:] if self.config.carries_arm else None

    def _colors(self, embed: Tensor) -> Tensor:
        """Colour moments of frames with these embeddings, in which they stand before the arm."""
        return embed[..., -PROPRIO_DIM - self.outset_dim : -PROPRIO_DIM]

    def _read(self, embed: Tensor, outset: Tensor | None) -> Tensor | None:
        """The scene of frames with these embeddings; None where it is not carried."""
        if self.scene_track is None:
            return None
        begun_with = present(outset, "outset")
        return self.scene_track.read(self._colors(embed), begun_with, embed[..., -PROPRIO_DIM:])

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
