"""Products with matrices that may be less precise than what is multiplied and what comes out.

Where a loop reads large matrices for a few rows, half the bytes are half the time. The sums inside a product
are made in single precision, by processors and GPUs alike; what is rounded is its factors and itself.
"""

import torch
from torch import Tensor


def product_dtype(weight: Tensor) -> torch.dtype:
    """What products with a weight are made in: under autocast its precision, where the weight is in fp32."""
    device = weight.device.type
    lowered = weight.dtype == torch.float32 and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if lowered else weight.dtype


def product(x: Tensor, matrix: Tensor) -> Tensor:
    """``x @ matrix``, made in the matrix' precision, in that of ``x``."""
    return (x.to(matrix.dtype) @ matrix).to(x.dtype)


def plus_product(addend: Tensor, x: Tensor, matrix: Tensor, out: Tensor | None = None) -> Tensor:
    """``addend + x @ matrix``, the product made in the matrix' precision, in that of ``addend``."""
    if matrix.dtype == addend.dtype:
        return torch.addmm(addend, x, matrix, out=out)
    return torch.add(addend, x.to(matrix.dtype) @ matrix, out=out)
