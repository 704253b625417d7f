"""The arithmetic of a GRU cell, forward and backward, for loops that postpone their weight gradients.

It is PyTorch's ``GRUCell``: r = s(i_r + g_r), u = s(i_u + g_u), n = tanh(i_n + r g_n),
h' = (1 - u) n + u h, with i = W_ih x + b_ih and g = W_hh h + b_hh stacked in the order r, u, n.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class GRUGates(NamedTuple):
    """What the backward pass needs: gates r, u, n and the recurrent part of n, each ``(B, D)``."""

    reset: Tensor
    update: Tensor
    new: Tensor
    recurrent_new: Tensor


def gru_forward(
    inputs: Float[Tensor, "B gates"], recurrent: Float[Tensor, "B gates"], h: Float[Tensor, "B D"]
) -> tuple[Tensor, GRUGates]:
    """One step from the two affine parts.

    Args:
        inputs: W_ih x + b_ih.
        recurrent: W_hh h + b_hh.
        h: The state before.

    Returns:
        The state after, ``(B, D)``, and the gates.
    """
    size = h.shape[-1]
    reset_update = torch.sigmoid(inputs[:, : 2 * size] + recurrent[:, : 2 * size])
    reset, update = reset_update[:, :size], reset_update[:, size:]
    recurrent_new = recurrent[:, 2 * size :]
    new = torch.addcmul(inputs[:, 2 * size :], reset, recurrent_new).tanh_()
    return torch.lerp(new, h, update), GRUGates(reset, update, new, recurrent_new)


def gru_backward(
    grad: Float[Tensor, "B D"],
    h: Float[Tensor, "B D"],
    gates: GRUGates,
    grad_inputs: Float[Tensor, "B gates"],
    grad_recurrent: Float[Tensor, "B gates"],
) -> Float[Tensor, "B D"]:
    """Gradients of one step.

    Args:
        grad: Of the state after.
        h: The state before.
        gates: From ``gru_forward``.
        grad_inputs: Filled with the gradient of W_ih x + b_ih.
        grad_recurrent: Filled with the gradient of W_hh h + b_hh.

    Returns:
        The direct part of the gradient of ``h``, ``(B, D)``; the part through ``recurrent`` is
        ``grad_recurrent @ W_hh``.
    """
    size = h.shape[-1]
    reset, update, new, recurrent_new = gates
    kept = grad * update
    d_new = torch.addcmul(grad - kept, (grad - kept) * new, new, value=-1)  # through tanh
    d_update = torch.mul(kept * (1.0 - update), h - new)
    d_reset = d_new * recurrent_new * reset * (1.0 - reset)
    grad_inputs[:, :size] = d_reset
    grad_inputs[:, size : 2 * size] = d_update
    grad_inputs[:, 2 * size :] = d_new
    grad_recurrent[:, : 2 * size] = grad_inputs[:, : 2 * size]
    torch.mul(d_new, reset, out=grad_recurrent[:, 2 * size :])
    return kept
