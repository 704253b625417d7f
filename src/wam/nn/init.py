"""Weight initialisation that depends on a seed and the parameter's name only.

A network with one part more or less therefore starts with the same weights in all the parts it shares,
to the bit, which is what makes "the same model without its head" a fair comparison.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from wam.seeding import torch_generator


def build_empty(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a module on CPU without drawing any random number; the weights are undefined until initialised.

    Args:
        build: Makes the module; every parameter it makes must be covered by ``initialise_``.
    """
    with torch.device("meta"):
        module = build()
    return module.to_empty(device="cpu")


def initialise_(module: nn.Module, seed: int) -> None:
    """Fill every parameter of ``module`` in place.

    Weights of two and more axes are Xavier uniform, a GRU's recurrent weights orthogonal, biases zero,
    layer-norm gains one and free parameters zero (as in LUMOS, docs/published.md, world model).

    Args:
        module: Any tree of linear, convolution, GRU cell and layer-norm layers.
        seed: At least 0; each parameter has a random stream of its own, keyed by its name.
    """
    with torch.no_grad():
        for prefix, part in module.named_modules():
            for name, parameter in part.named_parameters(recurse=False):
                path = f"{prefix}.{name}" if prefix else name
                _fill(part, name, parameter, torch_generator(seed, "initialise", path))


def _fill(part: nn.Module, name: str, parameter: Tensor, generator: torch.Generator) -> None:
    if isinstance(part, nn.LayerNorm) and name == "weight":
        nn.init.ones_(parameter)
    elif name == "weight_hh":
        nn.init.orthogonal_(parameter, generator=generator)
    elif parameter.ndim >= 2 and name.startswith("weight"):
        nn.init.xavier_uniform_(parameter, generator=generator)
    else:
        nn.init.zeros_(parameter)
