"""The posterior's time loop with its own backward pass.

Autograd would add one weight gradient per time step, each as large as the weights themselves. Here the
loop backwards keeps the small per-step gradients and makes each weight gradient once, as one product over
all ``T x B`` rows: same numbers up to summation order, and most of the memory traffic gone.
Everything is time first, ``(T, B, ...)``. The plain loop it must equal is ``RSSM.observe_step``.

The loop reads its matrices once a frame and does little else, so its products may be made in bf16: half the
bytes, and two to three times as quick. What is handed on from frame to frame stays as exact as it was.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from wam.nn.distributions import hard_one_hot, log_probabilities
from wam.nn.gru import GRUGates, gru_backward, gru_forward
from wam.nn.products import plus_product, product
from wam.world_model.config import LAYER_NORM_EPS

aten = torch.ops.aten

MATRIX = 2
"""Dimensions of a weight that rows are multiplied with; others are added or scale."""


class ScanInputs(NamedTuple):
    """What goes into the loop.

    Attributes:
        action_part: W_a a + b of the GRU's input layer, ``(T, B, H)``.
        embed_part: W_e e + b of the posterior's first layer, ``(T, B, H)``.
        deter: State before the first frame, ``(B, D)``.
        stoch: Likewise, flat, ``(B, S)``.
        keep: 0 where the state is dropped before the frame, else 1, ``(T, B)``; no gradient.
        noise: Gumbel noise, ``(T, B, V, C)``; no gradient.
    """

    action_part: Tensor
    embed_part: Tensor
    deter: Tensor
    stoch: Tensor
    keep: Tensor
    noise: Tensor


class ScanWeights(NamedTuple):
    """Weights inside the loop, as the layers hold them."""

    stoch_in: Tensor
    input_gain: Tensor
    input_bias: Tensor
    gru_ih: Tensor
    gru_hh: Tensor
    gru_bias_ih: Tensor
    gru_bias_hh: Tensor
    deter_in: Tensor
    posterior_gain: Tensor
    posterior_bias: Tensor
    out: Tensor
    out_bias: Tensor

    def multiplied_in(self, products: torch.dtype) -> "ScanWeights":
        """With its matrices in this precision."""
        return ScanWeights(*(w.to(products) if w.dim() == MATRIX else w for w in self))


def posterior_scan(
    inputs: ScanInputs, weights: ScanWeights, products: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the posterior over ``T`` frames.

    Args:
        inputs: Per step and at the start.
        weights: Of the loop.
        products: What products with its matrices are made in; states, norms and gates are as the inputs.

    Returns:
        ``deter (T, B, D)``, ``stoch (T, B, S)`` with straight-through gradient, ``logits (T, B, S)``.
    """
    out: tuple[Tensor, Tensor, Tensor] = _PosteriorScan.apply(products, *inputs, *weights)  # type: ignore[no-untyped-call]
    return out


class _NormStash(NamedTuple):
    """Of one norm + ELU layer over all steps: its input, its output and the norm's statistics."""

    x: Tensor
    y: Tensor
    mean: Tensor
    rstd: Tensor

    @classmethod
    def like(cls, x: Tensor) -> "_NormStash":
        mean = x.new_empty(*x.shape[:-1], 1)
        return cls(torch.empty_like(x), torch.empty_like(x), mean, torch.empty_like(mean))

    def forward(self, t: int, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        y, mean, rstd = aten.native_layer_norm(x, [x.shape[-1]], gain, bias, LAYER_NORM_EPS)
        aten.elu_(y)
        for stash, value in zip(self, (x, y, mean, rstd), strict=True):
            stash[t] = value
        return self.y[t]

    def backward(self, t: int, grad: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the norm's output and of its input."""
        d_norm = aten.elu_backward(grad, 1.0, 1.0, 1.0, True, self.y[t])
        width, wanted = [grad.shape[-1]], [True, False, False]
        d_x, *_ = aten.native_layer_norm_backward(
            d_norm, self.x[t], width, self.mean[t], self.rstd[t], gain, bias, wanted
        )
        return d_norm, d_x

    def affine_gradients(self, d_norm: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of gain and bias, from the gradient of the norm's output over all steps."""
        normalised = (self.x - self.mean) * self.rstd
        return (d_norm * normalised).sum(dim=(0, 1)), d_norm.sum(dim=(0, 1))


class _Stash(NamedTuple):
    """What the forward loop keeps for the backward loop."""

    deter: Tensor
    old_deter: Tensor
    old_stoch: Tensor
    logits: Tensor
    input_layer: _NormStash
    posterior_layer: _NormStash
    gates: GRUGates

    @classmethod
    def make(cls, inputs: ScanInputs) -> "_Stash":
        steps = len(inputs.keep)
        deter, stoch = (x.new_empty(steps, *x.shape) for x in (inputs.deter, inputs.stoch))
        return cls(
            deter,
            torch.empty_like(deter),
            stoch,
            torch.empty_like(stoch),
            _NormStash.like(inputs.action_part),
            _NormStash.like(inputs.embed_part),
            GRUGates(*(torch.empty_like(deter) for _ in GRUGates._fields)),
        )

    def flat(self) -> tuple[Tensor, ...]:
        return (*self[:4], *self.input_layer, *self.posterior_layer, *self.gates)

    @classmethod
    def from_flat(cls, flat: tuple[Tensor, ...]) -> "_Stash":
        deter, old_deter, old_stoch, logits = flat[:4]
        layers = _NormStash(*flat[4:8]), _NormStash(*flat[8:12])
        return cls(deter, old_deter, old_stoch, logits, *layers, GRUGates(*flat[12:]))


class _PosteriorScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, products: torch.dtype, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = len(ScanInputs._fields)
        inputs, w = ScanInputs(*tensors[:count]), ScanWeights(*tensors[count:]).multiplied_in(products)
        stash = _Stash.make(inputs)
        stochs = torch.empty_like(stash.old_stoch)
        deter, stoch = inputs.deter, inputs.stoch
        for t, keep in enumerate(inputs.keep[..., None]):
            h = torch.mul(deter, keep, out=stash.old_deter[t])
            z = torch.mul(stoch, keep, out=stash.old_stoch[t])
            x = plus_product(inputs.action_part[t], z, w.stoch_in.t())
            x = stash.input_layer.forward(t, x, w.input_gain, w.input_bias)
            gate_inputs = plus_product(w.gru_bias_ih, x, w.gru_ih.t())
            deter, gates = gru_forward(gate_inputs, plus_product(w.gru_bias_hh, h, w.gru_hh.t()), h)
            for kept, gate in zip(stash.gates, gates, strict=True):
                kept[t] = gate
            p = plus_product(inputs.embed_part[t], deter, w.deter_in.t())
            p = stash.posterior_layer.forward(t, p, w.posterior_gain, w.posterior_bias)
            logits = plus_product(w.out_bias, p, w.out.t(), out=stash.logits[t])
            stoch = hard_one_hot(logits.view_as(inputs.noise[t]), inputs.noise[t]).flatten(start_dim=1)
            stash.deter[t], stochs[t] = deter, stoch
        ctx.classes = inputs.noise.shape[-1]
        ctx.save_for_backward(inputs.keep, *w, *stash.flat())
        return stash.deter, stochs, stash.logits

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        count = len(ScanWeights._fields)
        keep, *tensors = ctx.saved_tensors
        w, stash = ScanWeights(*tensors[:count]), _Stash.from_flat(tuple(tensors[count:]))
        return _backward_loop(grads, keep[..., None], w, stash, ctx.classes)


def _backward_loop(
    grads: tuple[Tensor, ...], keep: Tensor, w: ScanWeights, stash: _Stash, classes: int
) -> tuple[Tensor | None, ...]:
    grad_deter, grad_stoch, grad_logits = grads
    steps, batch, _ = stash.deter.shape
    by_class = (steps, batch, -1, classes)
    probs = log_probabilities(stash.logits.view(by_class)).exp_()
    d_logits = torch.empty_like(stash.logits)
    d_gates, d_recurrent = (d_logits.new_empty(steps, batch, len(w.gru_hh)) for _ in range(2))
    d_input_norm, d_input, d_post_norm, d_post = (torch.empty_like(stash.input_layer.x) for _ in range(4))
    d_deter, d_stoch = torch.zeros_like(stash.deter[0]), torch.zeros_like(d_logits[0])
    for t in reversed(range(steps)):
        d_sample = (grad_stoch[t] + d_stoch).view_as(probs[t])
        through = (d_sample - (d_sample * probs[t]).sum(dim=-1, keepdim=True)).mul_(probs[t])
        torch.add(grad_logits[t], through.view_as(d_logits[t]), out=d_logits[t])
        d_post_norm[t], d_post[t] = stash.posterior_layer.backward(
            t, product(d_logits[t], w.out), w.posterior_gain, w.posterior_bias
        )
        d_h = plus_product(grad_deter[t] + d_deter, d_post[t], w.deter_in)
        gates = GRUGates(*(gate[t] for gate in stash.gates))
        d_h = gru_backward(d_h, stash.old_deter[t], gates, d_gates[t], d_recurrent[t])
        d_deter = plus_product(d_h, d_recurrent[t], w.gru_hh).mul_(keep[t])
        d_input_norm[t], d_input[t] = stash.input_layer.backward(
            t, product(d_gates[t], w.gru_ih), w.input_gain, w.input_bias
        )
        d_stoch = product(d_input[t], w.stoch_in).mul_(keep[t])
    d_input_gain, d_input_bias = stash.input_layer.affine_gradients(d_input_norm)
    d_post_gain, d_post_bias = stash.posterior_layer.affine_gradients(d_post_norm)
    weights = ScanWeights(
        stoch_in=_outer(d_input, stash.old_stoch, w.out.dtype),
        input_gain=d_input_gain,
        input_bias=d_input_bias,
        gru_ih=_outer(d_gates, stash.input_layer.y, w.out.dtype),
        gru_hh=_outer(d_recurrent, stash.old_deter, w.out.dtype),
        gru_bias_ih=d_gates.sum(dim=(0, 1)),
        gru_bias_hh=d_recurrent.sum(dim=(0, 1)),
        deter_in=_outer(d_post, stash.deter, w.out.dtype),
        posterior_gain=d_post_gain,
        posterior_bias=d_post_bias,
        out=_outer(d_logits, stash.posterior_layer.y, w.out.dtype),
        out_bias=d_logits.sum(dim=(0, 1)),
    )
    return None, d_input, d_post, d_deter, d_stoch, None, None, *weights


def _outer(grad: Tensor, x: Tensor, products: torch.dtype) -> Tensor:
    """A linear layer's weight gradient over all steps at once."""
    return product(grad.flatten(end_dim=1).t(), x.flatten(end_dim=1).to(products))
