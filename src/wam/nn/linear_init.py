"""Seeded initialisation of linear layers, each with a random stream of its own."""

import math

import torch
from torch import nn

from wam.nn.residual_mlp import SplitLinear
from wam.seeding import torch_generator


def fan_in_uniform_(module: nn.Module, seed: int) -> None:
    """Fill weights and biases of every linear layer uniformly within ``1 / sqrt(fan_in)``, in place.

    Args:
        module: Any tree; layers that are not linear are left as they are.
        seed: At least 0; a layer's values depend on it and on the layer's name alone.

    Source:
        LeCun et al. 1998; what ``torch.nn.Linear`` does by default, here without the global generator.
    """
    with torch.no_grad():
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Linear | SplitLinear):
                generator = torch_generator(seed, "fan_in_uniform", name)
                bound = 1 / math.sqrt(layer.in_features)
                for _, parameter in sorted(layer.named_parameters(recurse=False)):
                    values = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                    parameter.copy_(values)
